"""Stand-alone scripts that run inside jobs: training, batch inference, evaluation, serving.

A copy of this folder lies beside a job's inputs and runs there as `python -m recipes.NAME`, on a node that has a Python
and, for models, the packages of the extra `models` (jax, gguf, xllamacpp). Nothing here imports the platform.
"""
