"""Batch transform: every object below a prefix through a model, and what it answers beside it as `.out`.

    transforms.py   the jobs: queued, running, ended; what a server that died left is gone on with
    order.py        what is to be done
    run.py          one job's model servers, and the objects that they share
    records.py      objects to records to payloads
    processing.py   filters and joins, on the JSON paths of paths.py

https://docs.aws.amazon.com/sagemaker/latest/dg/batch-transform.html
"""

from groundfog.engine.transforms.order import Split, Transform
from groundfog.engine.transforms.transforms import Progress, Transforms, progress_of

__all__ = ["Progress", "Split", "Transform", "Transforms", "progress_of"]
