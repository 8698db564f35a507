"""`neural-envs serve`: dreams on a page, one per connection.

Starlette and uvicorn are imported when it starts.
"""
