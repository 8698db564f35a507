"""`neural-envs export-web`: dreams as a folder that any static host serves"""
