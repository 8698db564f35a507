"""Datasets to and from other forms: films with actions, tables of images, the Hub, Minari"""
