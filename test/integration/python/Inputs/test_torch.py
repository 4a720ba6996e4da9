"""Tests of gqa.KVCache on PyTorch tensors: test_torch.py PREFIX, of the artifacts that torch.test compiles. Attention is
compared with PyTorch's own operations in float64."""

import math
import sys
import unittest

import torch

import gqa
from gqa._tensors import TensorView

PREFIX = sys.argv.pop(1)
HEADS, KV_HEADS, KEY_DIM, VALUE_DIM = 6, 2, 16, 24


def reference(queries, keys, values, hidden=None):
    """Queries [m, heads, dqk] at the end of keys [n, kv_heads, dqk] and values [n, kv_heads, dv]; `hidden` [m, n] masks."""
    queries, keys, values = (rows.double() for rows in (queries, keys, values))
    m, n = len(queries), len(keys)
    future = torch.arange(n)[None, :] > torch.arange(n - m, n)[:, None]
    keys, values = (rows.repeat_interleave(HEADS // KV_HEADS, dim=1) for rows in (keys, values))
    scores = torch.einsum("mhd,nhd->hmn", queries, keys) / math.sqrt(KEY_DIM)
    scores = scores.masked_fill(future if hidden is None else future | hidden, -math.inf)
    return torch.einsum("hmn,nhd->mhd", scores.softmax(-1), values), torch.logsumexp(scores, -1).T


class TorchTest(unittest.TestCase):
    def setUp(self):
        torch.manual_seed(3)
        self.context = gqa.Context(num_threads=2)

    def make_cache(self, type_name):
        layer = gqa.CacheLayer(KV_HEADS, KEY_DIM, VALUE_DIM, type=type_name)
        return gqa.KVCache([layer], max_sequences=3, max_tokens=200, page_size=4, context=self.context)

    def make_rows(self, tokens, dtype=torch.float32):
        return tuple(torch.randn(tokens, heads, dim, dtype=dtype)
                     for heads, dim in ((HEADS, KEY_DIM), (KV_HEADS, KEY_DIM), (KV_HEADS, VALUE_DIM)))

    def expect_close(self, tensor, wanted, tolerance):
        self.assertEqual(tensor.shape, wanted.shape)
        self.assertLess((tensor.double() - wanted).abs().max().item(), tolerance)

    def test_views_are_the_tensors_memory(self):
        for dtype in (torch.float32, torch.float16, torch.bfloat16, torch.int8, torch.bool):
            tensor = torch.zeros(5, 4, 3, dtype=dtype)[1:, :, 1:].transpose(0, 1)
            view = TensorView(tensor)
            struct = view.struct
            self.assertEqual(struct.data + struct.byte_offset, tensor.data_ptr())
            self.assertEqual(struct.shape[:3], list(tensor.shape))
            self.assertEqual(struct.strides[:3], list(tensor.stride()))

    def test_ragged_batches_masks_and_lse_in_place(self):
        artifact, cache = gqa.Artifact(PREFIX + ".f32.so", self.context), self.make_cache("f32")
        sequences = [cache.add(), cache.add()]
        history = [self.make_rows(0), self.make_rows(0)]
        for counts in ((7, 2), (1, 1), (3, 1), (1, 5)):
            rows = [self.make_rows(count) for count in counts]
            history = [tuple(map(torch.cat, zip(*parts))) for parts in zip(history, rows)]
            queries, keys, values = map(torch.cat, zip(*rows))
            cache.append(0, sequences, counts, keys, values)
            tokens, longest = len(queries), max(len(parts[1]) for parts in history)
            mask = torch.rand(tokens, longest) < 0.8
            mask[:, 0] = True
            # Wide tensors whose middle is the result: what is around it stays.
            wide, lse = torch.full((tokens + 2, HEADS, VALUE_DIM), 9.0), torch.empty(tokens, HEADS)
            out = wide[1:-1]
            address = out.data_ptr()
            packed = torch.randn(tokens, HEADS, 2 * KEY_DIM)  # queries with strides
            packed[:, :, :KEY_DIM] = queries
            result = cache.attend(artifact, 0, sequences, counts, packed[:, :, :KEY_DIM], out, lse=lse, mask=mask)
            self.assertIs(result, out)
            self.assertEqual(out.data_ptr(), address)
            self.assertTrue((wide[[0, -1]] == 9).all())
            begin = 0
            for count, parts in zip(counts, history):
                span = slice(begin, begin + count)
                begin += count
                hidden = ~mask[span, :len(parts[1])]
                wanted, wanted_lse = reference(parts[0][-count:], parts[1], parts[2], hidden)
                self.expect_close(out[span], wanted, 1e-5)
                self.expect_close(lse[span], wanted_lse, 1e-5)

    def test_merging(self):
        for tokens in range(1, 40):
            lses = torch.randn(2, tokens, 3), torch.randn(2, tokens, 3)
            outputs = torch.randn(2, tokens, 3, 4), torch.randn(2, tokens, 3, 4)
            output, lse = gqa.merge(outputs, lses)
            weights = torch.stack(lses).double().softmax(0)
            self.expect_close(output, (weights[..., None] * torch.stack(outputs)).sum(0), 1e-5)
            self.expect_close(lse, torch.logsumexp(torch.stack(lses).double(), 0), 1e-5)

    def test_bf16_queries_on_int8(self):
        artifact, cache = gqa.Artifact(PREFIX + ".i8.so", self.context), self.make_cache("i8")
        sequence = cache.add()
        queries, keys, values = self.make_rows(50, torch.bfloat16)
        cache.append(0, [sequence], [50], keys, values)
        out = cache.attend(artifact, 0, [sequence], [9], queries[-9:])
        self.assertEqual((out.dtype, type(out)), (torch.bfloat16, torch.Tensor))
        stored = [torch.from_numpy(rows) for rows in cache.read(0, sequence)]
        self.expect_close(out, reference(queries[-9:], *stored)[0], 0.02)
        self.expect_close(out, reference(queries[-9:], keys, values)[0], 0.05)

    def test_what_has_no_memory_here_is_refused(self):
        artifact, cache = gqa.Artifact(PREFIX + ".i8.so", self.context), self.make_cache("i8")
        sequence = cache.add()
        queries, keys, values = self.make_rows(2, torch.bfloat16)
        cache.append(0, [sequence], [2], keys, values)
        with self.assertRaises(TypeError) as caught:
            cache.attend(artifact, 0, [sequence], [2], queries.clone().requires_grad_())
        self.assertIn("queries", str(caught.exception))
        with self.assertRaises((TypeError, gqa.Error)):
            cache.attend(artifact, 0, [sequence], [2], queries.to("meta"))
        with self.assertRaises(gqa.Error) as caught:
            cache.attend(artifact, 0, [sequence], [2], queries.float())
        self.assertIn("queries", str(caught.exception))
        self.assertEqual(cache.length(sequence), 2)


unittest.main(verbosity=2)
