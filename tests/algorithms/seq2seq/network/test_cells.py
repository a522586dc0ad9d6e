import torch
from torch import nn

from groundfog.algorithms.seq2seq.kernels.training import Dropout
from groundfog.algorithms.seq2seq.network.cells import rows_of


def test_a_token_is_projected_once_however_often_it_occurs() -> None:
    embedding, ids = nn.Embedding(100, 3), torch.tensor([[7, 4], [4, 7], [9, 7]])
    rows, numbers = rows_of(embedding, Dropout(0.5).eval(), ids)
    assert len(rows) == 3
    torch.testing.assert_close(rows[numbers], embedding(ids))


def test_with_dropout_each_place_is_told_something_of_its_own() -> None:
    ids = torch.full((4, 5), 7)
    rows, numbers = rows_of(nn.Embedding(100, 32), Dropout(0.5), ids)
    assert len({tuple(row.tolist()) for row in rows}) == ids.numel()
    assert sorted(numbers.flatten().tolist()) == list(range(ids.numel()))
