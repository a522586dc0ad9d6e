import torch
from torch import nn

from groundfog.algorithms.seq2seq.kernels.training import Dropout
from groundfog.algorithms.seq2seq.network.cells import rows_of
