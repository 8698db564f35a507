"""`neural-envs serve`: dreams on a page, one for each visitor.

Starlette and uvicorn are imported when it starts.
"""
