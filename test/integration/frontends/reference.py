"""What the samples compute, written once more in NumPy: in float64 for the answer, in low precision for its error bound.

`semantics` of an entry; what is absent is not used:

    scale           s = scale * q.k
    softcap         s = softcap * tanh(s / softcap)
    causal_offset   query m sees key n if n <= m + causal_offset
    window_left     and if n >= m + causal_offset - window_left
    visible_when    and if this NumPy expression of the arguments, m and n holds
    bias            NumPy expression of the arguments, m and n that is added to the scores
    sinks           the argument [q_heads] whose exponentials join the denominator
    group           "interleave" (default): query head h reads key/value head h // G; "tile": it reads h mod kv_heads
    layer           "llama": the arguments are x, wq, wk, wv, wo, cos, sin (and q_norm, k_norm) of an attention layer
    numpy           the whole answer as an expression: something that resembles attention and is none
"""

import numpy as np

import samples


class Precision:
    """`dtype` of the arithmetic and the storage type that scores, probabilities and results are rounded to."""

    def __init__(self, dtype, storage=None):
        self.dtype, self.storage = dtype, storage

    def store(self, array):
        return array if self.storage is None else samples.round_to(self.storage, array).astype(self.dtype)


def answer(entry, arguments):
    """The float64 answer and the greatest error that a result may have.

    The rule of all numerical tests here: twice the error of the plain computation in low precision, and a floor of a few
    roundings of the greatest result.
    """
    exact = evaluate(entry, arguments, Precision(np.float64))
    naive = evaluate(entry, arguments, Precision(np.float32, entry["dtype"]))
    if exact.size == 0:
        return exact, 0.0
    floor = np.abs(exact).max() * (2 * samples.ROUNDOFF[entry["dtype"]] + 64 * samples.ROUNDOFF["f32"])
    return exact, 2 * np.abs(naive - exact).max() + floor


def evaluate(entry, arguments, precision):
    named = {argument["name"]: array.astype(precision.dtype) if argument["dtype"] in samples.ROUNDOFF else array
             for argument, array in zip(entry["arguments"], arguments)}
    if "numpy" in entry["semantics"]:
        return precision.store(evaluate_expression(entry["semantics"], named, precision.dtype))
    if entry["semantics"].get("layer") == "llama":
        return precision.store(evaluate_layer(entry, named, precision))
    layouts = {argument["name"]: argument.get("layout") for argument in entry["arguments"]}
    heads = {"q": entry["q_heads"]}
    q, k, v, *past = (to_bhsd(named[name], layouts[name], heads.get(name, entry["kv_heads"]))
                      for name in ("q", "k", "v", "past_k", "past_v") if name in named)
    if past:
        k, v = (np.concatenate(pair, axis=2) for pair in zip(past, (k, v)))
    return from_bhsd(precision.store(attend(entry["semantics"], q, k, v, named, precision)), entry["result"]["layout"],
                     entry["kv_heads"])


def attend(semantics, q, k, v, named, precision):
    """Attention head by head: q [b, h, m, d], k [b, hkv, n, d], v [b, hkv, n, dv] to [b, h, m, dv]."""
    batch, q_heads, rows, _ = q.shape
    kv_heads, keys = k.shape[1:3]
    is_visible, bias = get_mask(semantics, named, rows, keys), get_bias(semantics, named, rows, keys)
    output = np.zeros((batch, q_heads, rows, v.shape[-1]), precision.dtype)
    for b, h in np.ndindex(batch, q_heads):
        hkv = h % kv_heads if semantics.get("group") == "tile" else h // (q_heads // kv_heads)
        scores = precision.store(precision.dtype(semantics["scale"]) * (q[b, h] @ k[b, hkv].T))
        if "softcap" in semantics:
            softcap = precision.dtype(semantics["softcap"])
            scores = softcap * np.tanh(scores / softcap)
        scores = scores + pick(bias, b, h)
        scores = np.where(pick(is_visible, b, h), scores, -np.inf).astype(precision.dtype)
        sink = named[semantics["sinks"]][h] if "sinks" in semantics else -np.inf
        output[b, h] = precision.store(softmax(scores, sink)) @ v[b, hkv]
    return output


def softmax(scores, sink=-np.inf):
    """Over the last dimension; rows without keys give 0."""
    top = np.maximum(scores.max(-1, keepdims=True, initial=-np.inf), sink)
    top = np.where(np.isinf(top), 0, top).astype(scores.dtype)
    weights = np.exp(scores - top)
    total = weights.sum(-1, keepdims=True) + np.exp(sink - top)
    return weights / np.where(total == 0, 1, total).astype(scores.dtype)


def get_mask(semantics, named, rows, keys):
    m, n = np.arange(rows)[:, None], np.arange(keys)
    offset = semantics.get("causal_offset")
    is_visible = np.ones((rows, keys), bool)
    if offset is not None:
        is_visible = is_visible & (n <= m + offset)
    if semantics.get("window_left", -1) >= 0:
        is_visible = is_visible & (n >= m + (offset or 0) - semantics["window_left"])
    if "visible_when" in semantics:
        is_visible = is_visible & eval(semantics["visible_when"], dict(named, m=m, n=n, np=np))
    return is_visible


def get_bias(semantics, named, rows, keys):
    if "bias" not in semantics:
        return np.zeros((rows, keys), np.float32)
    return eval(semantics["bias"], dict(named, m=np.arange(rows)[:, None], n=np.arange(keys), np=np))


def pick(array, b, h):
    """The [m, n] part for one batch entry and head of an array that broadcasts to [b, h, m, n]."""
    array = array.reshape((1,) * (4 - array.ndim) + array.shape)
    return array[b % array.shape[0], h % array.shape[1]]


def evaluate_expression(semantics, named, dtype):
    def along(scores, axis):
        return np.moveaxis(softmax(np.moveaxis(scores, axis, -1)), -1, axis)

    names = dict(
        named, np=np, softmax=along, T=lambda array: array.swapaxes(-1, -2), scale=dtype(semantics["scale"]),
        rep=lambda array: array.repeat(semantics["group_size"], axis=1), group_size=semantics["group_size"],
        softmax_sink=lambda scores, sink: softmax(scores, np.broadcast_to(sink, scores.shape[:-1] + (1,)).astype(dtype)))
    return eval(semantics["numpy"], names).astype(dtype)


def evaluate_layer(entry, named, precision):
    def project(weights, heads):
        return to_bhsd(precision.store(named["x"] @ named[weights].T), "bsf", heads)

    def normalise(x, gain):
        return x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + precision.dtype(1e-6)) * named[gain]

    def rotate(x):
        low, high = np.split(x, 2, axis=-1)
        return x * named["cos"] + np.concatenate([-high, low], axis=-1) * named["sin"]

    q, k, v = project("wq", entry["q_heads"]), project("wk", entry["kv_heads"]), project("wv", entry["kv_heads"])
    if "q_norm" in named:
        q, k = normalise(q, "q_norm"), normalise(k, "k_norm")
    q, k = (precision.store(rotate(x)) for x in (q, k))
    output = precision.store(attend(entry["semantics"], q, k, v, named, precision))
    return from_bhsd(output, "bsf", entry["kv_heads"]) @ named["wo"].T


def to_bhsd(array, layout, heads):
    """Any layout as [b, h, s, d]."""
    if "f" in layout:
        at = layout.index("f")
        array = array.reshape(array.shape[:at] + (heads, -1) + array.shape[at + 1:])
        layout = layout.replace("f", "hd")
    if "k" in layout:
        array = array.transpose([layout.index(letter) for letter in "bkgsd"])
        return array.reshape(array.shape[0], heads, *array.shape[-2:])
    if "h" not in layout:
        array, layout = array[..., None], layout + "h"
    return array.transpose([layout.index(letter) for letter in "bhsd"])


def from_bhsd(array, layout, kv_heads):
    """The inverse of `to_bhsd`."""
    batch, heads, length, dim = array.shape
    if "k" in layout:
        array = array.reshape(batch, kv_heads, heads // kv_heads, length, dim)
        return array.transpose(["bkgsd".index(letter) for letter in layout])
    split = layout.replace("f", "hd")
    array = array.transpose(["bhsd".index(letter) for letter in split])
    if "f" not in layout:
        return array
    at = layout.index("f")
    return array.reshape(array.shape[:at] + (heads * dim,) + array.shape[at + 2:])
