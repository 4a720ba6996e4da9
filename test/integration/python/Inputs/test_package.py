"""Tests of the Python package: test_package.py PREFIX, of PREFIX.so, which Inputs/attention.mlir makes, and the
artifacts for caches PREFIX.f32.so, .i8.so, .channels.so and .ring.so. Attention is compared with plain loops in float64."""

import gc
import os
import sys
import copy
import pickle
import tempfile
import threading
import unittest

import numpy

import gqa

try:
    import torch
except ImportError:
    torch = None

PREFIX = sys.argv.pop(1)
ARTIFACT = PREFIX + ".so"
SCALE = 0.35


def reference(query, key, value):
    """Causal attention, queries at the end of the keys: query [hkv, g, m, d], key and value [hkv, n, d]."""
    query, key, value = (array.astype(numpy.float64) for array in (query, key, value))
    output = numpy.zeros(query.shape[:3] + value.shape[-1:])
    past = key.shape[1] - query.shape[2]
    for h, g, m in numpy.ndindex(*query.shape[:3]):
        visible = past + m + 1
        weights = numpy.exp(SCALE * key[h, :visible] @ query[h, g, m])
        output[h, g, m] = weights @ value[h, :visible] / weights.sum()
    return output


class PackageTest(unittest.TestCase):
    def setUp(self):
        self.artifact = gqa.Artifact(ARTIFACT, gqa.Context(num_threads=2))
        self.attention = self.artifact["attention"]
        self.random = numpy.random.default_rng(7)

    def rows(self, *shape):
        return self.random.standard_normal(shape, numpy.float32)

    def expect_close(self, output, wanted, tolerance=1e-5):
        self.assertEqual(tuple(output.shape), tuple(wanted.shape))
        self.assertLess(numpy.abs(numpy.asarray(output, numpy.float64) - wanted).max(), tolerance)

    def test_description(self):
        self.artifact.check_can_run()
        self.assertEqual(list(self.artifact.entries), ["attention", "partial", "half"])
        self.assertEqual(self.attention.arguments[1].type, "f32")
        batch, heads, keys, dim = self.attention.arguments[1].shape
        self.assertEqual((heads, dim), (2, 8))
        self.assertIsInstance(batch, str)
        self.assertNotEqual(batch, keys)
        self.assertIn("f32[", repr(self.attention))
        self.assertEqual(gqa.version(), (0, 4))

    def test_results_are_returned_or_written_in_place(self):
        q, k, v = self.rows(3, 2, 2, 5, 8), self.rows(3, 2, 9, 8), self.rows(3, 2, 9, 8)
        wanted = numpy.stack([reference(q[b], k[b], v[b]) for b in range(3)])
        output = self.attention(q, k, v)
        self.expect_close(output, wanted)
        again = numpy.full_like(output, numpy.nan)
        self.assertIs(self.attention(q, k, v, out=again), again)
        numpy.testing.assert_array_equal(output, again)

    def test_strided_arrays_are_not_copied(self):
        tokens = self.rows(9, 3, 2, 8)  # [tokens, batch, heads, dim]
        k, v = tokens.transpose(1, 2, 0, 3), tokens[::-1].transpose(1, 2, 0, 3)
        q = self.rows(3, 2, 2, 5, 8)
        self.expect_close(self.attention(q, k, v), numpy.stack([reference(q[b], k[b], v[b]) for b in range(3)]))
        larger = numpy.zeros((3, 2, 2, 7, 8), numpy.float32)
        self.attention(q, k, v, out=larger[:, :, :, 1:6])
        self.assertTrue((larger[:, :, :, [0, 6]] == 0).all())
        numpy.testing.assert_array_equal(larger[:, :, :, 1:6], self.attention(q, k, v))

    def test_several_results_and_merging(self):
        q, k, v = self.rows(2, 2, 8), self.rows(2, 11, 8), self.rows(2, 11, 8)
        parts = [self.artifact["partial"](q, k[:, begin:end], v[:, begin:end]) for begin, end in ((0, 4), (4, 11))]
        output, lse = gqa.merge([part[0] for part in parts], [part[1] for part in parts])
        self.expect_close(output[:, :, None], reference(q[:, :, None], k, v))
        numpy.testing.assert_allclose(lse, self.artifact["partial"](q, k, v)[1], rtol=1e-6)

    def test_errors(self):
        q, k, v = self.rows(1, 2, 2, 5, 8), self.rows(1, 2, 9, 8), self.rows(1, 2, 9, 8)

        def expect(kind, text, function, *arguments, **keywords):
            with self.assertRaises(kind) as caught:
                function(*arguments, **keywords)
            self.assertIn(text, str(caught.exception))
            return caught.exception

        error = expect(gqa.Error, "invalid argument: input 2 of 'attention': dimension 2 is 8, but ", self.attention, q,
                       k, v[:, :, 1:])
        self.assertEqual(error.status, gqa.Status.INVALID_ARGUMENT)
        expect(gqa.Error, "element type f64", self.attention, q.astype(numpy.float64), k, v)
        expect(gqa.Error, "'attention' takes 3 inputs, got 2", self.attention, q, k)
        expect(TypeError, "input 0 must be a NumPy array or have __dlpack__, got list", self.attention, [1], k, v)
        expect(TypeError, "complex64", self.attention, q.astype(numpy.complex64), k, v)
        expect(KeyError, "no entry 'none'; there are: attention, partial, half", self.artifact.__getitem__, "none")
        frozen = numpy.zeros_like(q)
        frozen.flags.writeable = False
        expect(ValueError, "read-only", self.attention, q, k, v, out=frozen)
        self.assertEqual(expect(gqa.Error, "not found", gqa.Artifact, "/none").status, gqa.Status.NOT_FOUND)
        self.assertEqual(expect(gqa.Error, "not a gqa artifact", gqa.Artifact, __file__).status,
                         gqa.Status.BAD_ARTIFACT)
        expect(ValueError, "-3 threads", gqa.Context, num_threads=-3)
        expect(OverflowError, "4294967296 does not fit 32 bits", gqa.Context, num_threads=1 << 32)

    def make_cache(self, **keywords):
        layers = [gqa.CacheLayer(2, 8, capacity=20), gqa.CacheLayer(2, 8, **keywords)]
        return gqa.KVCache(layers, max_sequences=4, max_tokens=60, page_size=4)

    def test_decoding_in_place_is_a_full_pass(self):
        q, k, v = self.rows(1, 2, 2, 20, 8), self.rows(20, 2, 8), self.rows(20, 2, 8)
        full = reference(q[0], k.transpose(1, 0, 2), v.transpose(1, 0, 2))
        cache = self.make_cache()
        sequence = cache.add()
        begin = 0
        for count in (13, 1, 1, 5):
            end = begin + count
            for layer in (0, 1):
                cache.append(layer, [sequence], [count], k[begin:end], v[begin:end])
            [(keys, values)] = cache.pages(0, sequence)
            output = self.attention(q[:, :, :, begin:end], keys[None], values[None])
            self.expect_close(output[0], full[:, :, begin:end])
            parts = [self.artifact["partial"](q[0, :, :, end - 1], *page) for page in cache.pages(1, sequence)]
            self.assertEqual(len(parts), -(-end // 4))
            merged, _ = gqa.merge([part[0] for part in parts], [part[1] for part in parts])
            self.expect_close(merged, full[:, :, end - 1])
            begin = end

    def expect_decoding_in_place(self, kind, visible, tolerance, **layer):
        """Three ragged sequences, in prompts, single tokens and mixtures, through one call for all of each step."""
        artifact = gqa.Artifact(f"{PREFIX}.{kind}.so", self.artifact.context)
        cache = gqa.KVCache([gqa.CacheLayer(2, 8, **layer)], max_sequences=3, max_tokens=90, page_size=4)
        lengths = [14, 20, 11]
        sequences = [cache.add() for _ in lengths]
        data = [tuple(self.rows(length, heads, 8) for heads in (4, 2, 2)) for length in lengths]
        done = [0, 0, 0]
        for counts in ([3, 2, 1], [1, 1, 1], [3, 0, 1], [1, 3, 3], [2, 3, 1], [3, 1, 2], [1, 3, 1], [0, 3, 1],
                       [0, 3, 0], [0, 1, 0]):
            spans = [slice(begin, begin + count) for begin, count in zip(done, counts)]
            q, k, v = (numpy.concatenate([rows[part][span] for rows, span in zip(data, spans)]) for part in range(3))
            done = [begin + count for begin, count in zip(done, counts)]
            cache.append(0, sequences, counts, k, v)
            lse = numpy.empty(q.shape[:2], numpy.float32)
            output = cache.attend(artifact, 0, sequences, counts, q, lse=lse)
            wanted = [self.plain(rows, position, visible) for rows, span in zip(data, spans)
                      for position in range(span.start, span.stop)]
            self.expect_close(output, numpy.stack([row for row, _ in wanted]), tolerance)
            self.expect_close(lse, numpy.stack([row for _, row in wanted]), tolerance)
        self.assertEqual(done, lengths)

    @staticmethod
    def plain(rows, position, visible):
        """Output [heads, dim] and lse [heads] of the query at `position`, which sees the keys `visible(position)`."""
        q, k, v = (array.astype(numpy.float64) for array in rows)
        keys = [n for n in range(position + 1) if visible(position, n)]
        output, lse = numpy.zeros((4, 8)), numpy.zeros(4)
        for head in range(4):
            weights = numpy.exp(SCALE * k[keys, head // 2] @ q[position, head])
            output[head] = weights @ v[keys, head // 2] / weights.sum()
            lse[head] = numpy.log(weights.sum())
        return output, lse

    def test_attending_to_pages_in_place(self):
        self.expect_decoding_in_place("f32", lambda position, n: True, 1e-5)

    def test_attending_to_quantised_pages_in_place(self):
        self.expect_decoding_in_place("i8", lambda position, n: True, 0.05, type="i8")

    def test_attending_to_keys_with_scales_per_channel_in_place(self):
        scales = numpy.linspace(3, 5, 16, dtype=numpy.float32).reshape(2, 8) / 127
        self.expect_decoding_in_place("channels", lambda position, n: True, 0.05, type="i8", key_channel_scales=scales)

    def test_attending_to_a_ring_in_place(self):
        self.expect_decoding_in_place("ring", lambda position, n: n < 1 or n > position - 6, 1e-5, window=6, sinks=1,
                                      slack=2)

    def test_attend_says_what_does_not_fit(self):
        artifact = gqa.Artifact(PREFIX + ".ring.so")
        cache = gqa.KVCache([gqa.CacheLayer(2, 8, window=6, sinks=1, slack=2), gqa.CacheLayer(2, 8)], max_sequences=1,
                            max_tokens=20, page_size=4)
        sequence = cache.add()
        k = self.rows(12, 2, 8)
        for layer in (0, 1):
            cache.append(layer, [sequence], [12], k, k)

        def expect(text, *arguments, **keywords):
            with self.assertRaises((gqa.Error, ValueError)) as caught:
                cache.attend(*arguments, **keywords)
            self.assertIn(text, str(caught.exception))

        expect("asks with 4 tokens, but the ring of layer 0 keeps the windows of the last 3", artifact, 0, [sequence],
               [4], self.rows(4, 4, 8))
        expect("layer 1 stores all tokens, but entry 'attention' takes a ring", artifact, 1, [sequence], [1],
               self.rows(1, 4, 8))
        expect("queries have 2 tokens, but the counts make 1", artifact, 0, [sequence], [1], self.rows(2, 4, 8))
        expect("must be as many", artifact, 0, [sequence], [], self.rows(1, 4, 8))
        expect("takes no mask", artifact, 0, [sequence], [1], self.rows(1, 4, 8), mask=numpy.ones((1, 12), bool))
        expect("queries must be f32 as the artifact's entry has them, got f64", artifact, 0, [sequence], [1],
               numpy.zeros((1, 4, 8)), self.rows(1, 4, 8))
        frozen = numpy.broadcast_to(self.rows(1, 1, 8), (1, 4, 8))
        expect("output is read-only", artifact, 0, [sequence], [1], self.rows(1, 4, 8), frozen)
        with self.assertRaisesRegex(ValueError, "rows is read-only"):
            cache.rotate(0, [0], frozen)

    def test_integers_are_not_cut(self):
        cache = self.make_cache()
        sequence = cache.add()
        k = self.rows(2, 2, 8)
        for arguments in ((1 << 32, [sequence], [2]), (0, [sequence + (1 << 64)], [2])):
            with self.assertRaisesRegex(OverflowError, "does not fit"):
                cache.append(*arguments, k, k)
        with self.assertRaises(TypeError):
            cache.append(0, [sequence], [2.0], k, k)
        with self.assertRaisesRegex(OverflowError, "does not fit 32 bits"):
            gqa.KVCache([gqa.CacheLayer(2, 8)], max_sequences=1, max_tokens=16, page_size=(1 << 32) + 16)
        cache.append(numpy.int32(0), numpy.array([sequence]), numpy.array([2]), k, k)
        cache.truncate(numpy.int64(sequence), numpy.uint8(1))
        self.assertEqual(cache.length(sequence), 1)

    def test_what_the_library_made_is_not_copied(self):
        for made in (self.make_cache(), self.artifact, gqa.Context()):
            for function in (copy.copy, copy.deepcopy, pickle.dumps):
                with self.assertRaisesRegex(TypeError, "cannot be copied or pickled"):
                    function(made)

    def test_threads_share_a_cache(self):
        artifact = gqa.Artifact(PREFIX + ".f32.so")
        cache = gqa.KVCache([gqa.CacheLayer(2, 8)], max_sequences=4, max_tokens=200, page_size=4)
        problems = []

        def work(seed):
            random = numpy.random.default_rng(seed)
            sequence = cache.add()
            keys, values = [], []
            for _ in range(40):
                k, v, q = (random.standard_normal((1, heads, 8), numpy.float32) for heads in (2, 2, 4))
                keys.append(k)
                values.append(v)
                cache.append(0, [sequence], [1], k, v)
                output = cache.attend(artifact, 0, [sequence], [1], q)
                wanted = reference(q.reshape(2, 2, 1, 8), numpy.concatenate(keys).transpose(1, 0, 2),
                                   numpy.concatenate(values).transpose(1, 0, 2))
                if numpy.abs(output.reshape(2, 2, 1, 8) - wanted).max() > 1e-5:
                    problems.append("wrong output")
                try:
                    cache.truncate(sequence, 1000 + seed)
                except gqa.Error as error:  # its own message, not that of another thread
                    if f"got {1000 + seed}" not in str(error):
                        problems.append(str(error))

        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(problems, [])

    def test_cache_operations(self):
        cache = self.make_cache(rotary=gqa.Rotary(8))
        self.assertGreater(cache.nbytes, 0)
        first, other = cache.add(), cache.add()
        k, v = self.rows(7, 2, 8), self.rows(7, 2, 8)
        cache.reserve([first, other], [5, 2])
        for layer in (0, 1):
            cache.append(layer, [first, other], [5, 2], k, v)
        self.assertEqual([cache.length(first, 1), cache.length(other)], [5, 2])
        numpy.testing.assert_array_equal(cache.read(0, other)[0], k[5:])
        numpy.testing.assert_array_equal(cache.read(0, first, 1, 3)[1], v[1:3])
        rotated = k[:5].copy()
        cache.rotate(1, range(5), rotated)
        numpy.testing.assert_array_equal(cache.read(1, first)[0], rotated)
        numpy.testing.assert_array_equal(rotated[0], k[0])
        self.assertGreater(numpy.abs(rotated[4] - k[4]).max(), 0.1)

        fork = cache.fork(first, 3)
        cache.append(0, [fork], [1], k[6:], v[6:])
        numpy.testing.assert_array_equal(cache.read(0, fork)[0], k[[0, 1, 2, 6]])
        cache.truncate(first, 1)
        self.assertEqual(cache.length(first), 1)
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "sequence")
            cache.save(fork, path)
            loaded = cache.load(path)
            numpy.testing.assert_array_equal(cache.read(0, loaded)[0], k[[0, 1, 2, 6]])
            with open(path, "r+b") as file:
                file.seek(20)
                file.write(b"\xff")
            with self.assertRaises(gqa.Error) as caught:
                cache.load(path)
            self.assertEqual(caught.exception.status, gqa.Status.BAD_CACHE_FILE)
        cache.remove(loaded)
        with self.assertRaises(gqa.Error) as caught:
            cache.length(loaded)
        self.assertEqual(caught.exception.status, gqa.Status.NOT_FOUND)
        with self.assertRaises(gqa.Error) as caught:
            cache.append(0, [fork], [17], self.rows(17, 2, 8), self.rows(17, 2, 8))
        self.assertEqual(caught.exception.status, gqa.Status.OUT_OF_MEMORY)
        self.assertEqual(cache.length(fork), 4)
        with self.assertRaises(ValueError):
            cache.append(0, [fork], [1, 1], k, v)

    def test_quantised_layers_and_rings(self):
        cache = gqa.KVCache([gqa.CacheLayer(1, 8, type="i8", value_type="f16"),
                             gqa.CacheLayer(1, 8, window=4, sinks=1)], max_sequences=1, max_tokens=16)
        sequence = cache.add()
        k, v = self.rows(10, 1, 8), self.rows(10, 1, 8)
        for layer in (0, 1):
            cache.append(layer, [sequence], [10], k, v)
        keys, values = cache.read(0, sequence)
        self.assertLess(numpy.abs(keys - k).max(), numpy.abs(k).max() / 127)
        self.assertLess(numpy.abs(values - v).max(), 2e-3)
        with self.assertRaises(TypeError):
            cache.pages(0, sequence)
        numpy.testing.assert_array_equal(cache.read(1, sequence, 6, 10)[0], k[6:])
        with self.assertRaises(gqa.Error):
            cache.read(1, sequence, 4, 10)
        with self.assertRaises(ValueError):
            gqa.KVCache([gqa.CacheLayer(1, 8, type="i5")], 1, 1)
        with self.assertRaises(gqa.Error):
            gqa.KVCache([gqa.CacheLayer(1, 7, type="i4")], 1, 1)

    def test_views_keep_the_cache_alive(self):
        cache = gqa.KVCache([gqa.CacheLayer(2, 8, capacity=4)], max_sequences=1)
        sequence = cache.add()
        k = self.rows(4, 2, 8)
        cache.append(0, [sequence], [4], k, k)
        [(keys, _)] = cache.pages(0, sequence)
        del cache
        gc.collect()
        numpy.testing.assert_array_equal(keys, k.transpose(1, 0, 2))

    @unittest.skipIf(torch is None, "PyTorch is not installed")
    def test_torch_tensors_are_not_copied(self):
        q, k, v = torch.randn(1, 2, 2, 5, 8), torch.randn(1, 2, 9, 8), torch.randn(9, 1, 2, 8).permute(1, 2, 0, 3)
        wanted = reference(*(tensor[0].numpy() for tensor in (q, k, v)))
        output = self.attention(q, k, v)
        self.assertIsInstance(output, torch.Tensor)
        self.expect_close(output[0].numpy(), wanted)
        kept = torch.zeros(1, 2, 2, 5, 8)
        address = kept.data_ptr()
        self.assertIs(self.attention(q, k, v, out=kept), kept)
        self.assertEqual(kept.data_ptr(), address)
        self.assertTrue(torch.equal(kept, output))
        half = self.artifact["half"]
        q, k, v = (torch.randn(*shape).bfloat16() for shape in ((2, 4, 8), (9, 8), (9, 8)))
        output = half(q, k, v)
        self.assertEqual(output.dtype, torch.bfloat16)
        weights = torch.softmax(SCALE * (q.double() @ k.double().T), -1)
        self.assertLess((output.double() - weights @ v.double()).abs().max().item(), 0.03)
        with self.assertRaises(TypeError):
            half(q.requires_grad_(), k, v)
        cache = self.make_cache()
        sequence = cache.add()
        rows = torch.randn(3, 2, 8).half()
        cache.append(0, [sequence], [3], rows, rows)
        numpy.testing.assert_array_equal(cache.read(0, sequence)[0], rows.float().numpy())


unittest.main(verbosity=2)
