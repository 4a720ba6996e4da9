/* The KV cache: keys and values of many sequences in many layers, stored so that attention reads them in place.
 * docs/kv-cache.md describes the layouts. Conventions are those of gqa.h, and gqa.h
 * includes this header.
 *
 * When a function fails, nothing that was stored before has changed.
 *
 * Threads. A cache may be used by many threads, each with a context of its own. A function that changes a sequence
 * (append, reserve, truncate, remove) must be the only one that uses that sequence at the time; any number of threads
 * may read one sequence (attend, fork, read, save) at once, and different sequences do not disturb each other, even if
 * they share pages. */
#ifndef GQA_CACHE_H
#define GQA_CACHE_H

#include "runtime/gqa.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct gqa_cache gqa_cache;

/* Names a sequence of a cache. Names are positive and are not used again. */
typedef int64_t gqa_sequence;

/* Element types of stored keys and values. Integers and fp8 are quantised with a scale (f32) per token and head. */
typedef enum gqa_cache_type {
  GQA_CACHE_F32 = 0,
  GQA_CACHE_F16 = 1,
  GQA_CACHE_BF16 = 2,
  GQA_CACHE_I8 = 3,
  GQA_CACHE_F8E4M3 = 4,
  GQA_CACHE_I4 = 5 /* two to a byte, the even element in the low half; dims are even */
} gqa_cache_type;

typedef enum gqa_cache_storage {
  GQA_CACHE_CONTIGUOUS = 0, /* one page of `capacity` tokens per sequence */
  GQA_CACHE_PAGED = 1,      /* pages of page_size tokens */
  GQA_CACHE_RING = 2        /* pages, but only the last `window` tokens and the first `sinks` ones are kept */
} gqa_cache_storage;

typedef enum gqa_rotary_pairs { GQA_ROTARY_INTERLEAVED = 0, GQA_ROTARY_HALF_SPLIT = 1 } gqa_rotary_pairs;
typedef enum gqa_rotary_scaling {
  GQA_ROTARY_UNSCALED = 0,
  GQA_ROTARY_LLAMA3 = 1,
  GQA_ROTARY_YARN = 2,
  GQA_ROTARY_LINEAR = 3
} gqa_rotary_scaling;

/* A rotary embedding; runtime/cache/Rotary.h has the formulas. Fields that the scaling does not use are ignored. */
typedef struct gqa_rotary {
  int64_t dim;             /* elements of a row that are rotated, the first ones; even; 0: no rotation */
  int32_t pairs;           /* gqa_rotary_pairs */
  int32_t scaling;         /* gqa_rotary_scaling */
  double theta;            /* base of the frequencies, e.g. 10000 */
  double factor;           /* llama3, yarn, linear: how many times the context is stretched */
  double original_context; /* llama3, yarn: tokens */
  double low_frequency_factor;
  double high_frequency_factor; /* llama3 */
  double beta_fast;
  double beta_slow;         /* yarn */
  double attention_factor;  /* yarn; 0: 0.1 ln(factor) + 1 */
  int32_t no_ramp_rounding; /* yarn; 1: the ramp may begin and end between pairs */
} gqa_rotary;

typedef struct gqa_cache_layer {
  int64_t num_kv_heads, key_dim, value_dim;
  int32_t key_type, value_type; /* gqa_cache_type */
  int32_t storage;              /* gqa_cache_storage */
  int64_t capacity;             /* contiguous: most tokens of a sequence */
  int64_t window, sinks;        /* ring */
  int64_t slack; /* ring: tokens kept beside the window: up to slack + 1 can be appended before they attend, and up to
                    slack taken back */
  const float *key_channel_scales; /* NULL, or [num_kv_heads][key_dim]: quantised keys then have these fixed scales */
  gqa_rotary rotary;               /* applied to keys on append, by their position in the sequence */
} gqa_cache_layer;

typedef struct gqa_cache_config {
  int32_t num_layers;
  const gqa_cache_layer *layers;
  int64_t max_sequences; /* alive at a time, forks counted */
  int64_t max_tokens;    /* of all sequences together, shared ones counted once; not for contiguous layers */
  int32_t page_size;     /* tokens per page: a power of two from 1 to 256; not for contiguous layers */
} gqa_cache_config;

/* Creates a cache. All its memory for keys and values is taken now, from the context's allocator, which must stay
 * usable until the cache is destroyed; the context itself may go. */
GQA_API gqa_status gqa_cache_create(gqa_context *context, const gqa_cache_config *config, gqa_cache **cache);
/* The same in the memory of `device`: {kDLCPU, 0}, or {kDLCUDA, number}, through the driver, for capability 8.0 and
 * later.
 *
 * On a device, tensors that are appended or rotated are there, too; views hold device addresses; tables, positions and
 * what is read are on the host. Append and rotate start kernels on the context's stream and return. Pages are shared,
 * copied and given back in the order of the calls, so calls that write must be ordered on the device as on the host: on
 * one stream, or by events. Read, save and load wait for the stream. When a function fails with GQA_DEVICE_ERROR in a
 * ring, what it was about to overwrite may be lost. */
GQA_API gqa_status gqa_cache_create_on(gqa_context *context, const gqa_cache_config *config, DLDevice device,
                                       gqa_cache **cache);
GQA_API void gqa_cache_destroy(gqa_cache *cache); /* NULL is allowed */

/* Bytes that the cache has taken from the allocator. */
GQA_API int64_t gqa_cache_bytes(const gqa_cache *cache);

/*--- Sequences ------------------------------------------------------------------------------------------------------*/

/* Adds a sequence without tokens. */
GQA_API gqa_status gqa_cache_add(gqa_context *context, gqa_cache *cache, gqa_sequence *sequence);

/* Adds a sequence that shares the first `length` tokens of `source`; pages are copied when one of them is written. */
GQA_API gqa_status gqa_cache_fork(gqa_context *context, gqa_cache *cache, gqa_sequence source, int64_t length,
                                  gqa_sequence *sequence);

GQA_API gqa_status gqa_cache_remove(gqa_context *context, gqa_cache *cache, gqa_sequence sequence);

/* Forgets all but the first `length` tokens, in all layers. */
GQA_API gqa_status gqa_cache_truncate(gqa_context *context, gqa_cache *cache, gqa_sequence sequence, int64_t length);

GQA_API gqa_status gqa_cache_length(gqa_context *context, const gqa_cache *cache, gqa_sequence sequence, int32_t layer,
                                    int64_t *length);

/* Takes the pages for counts[i] more tokens of sequences[i] in all layers, so that appending them cannot run out of
 * memory, as long as the sequence is not forked or truncated before. */
GQA_API gqa_status gqa_cache_reserve(gqa_context *context, gqa_cache *cache, const gqa_sequence *sequences,
                                     const int64_t *counts, int32_t num_sequences);

/* Appends counts[i] tokens to sequences[i], for each i, in one layer. `keys` is [tokens, num_kv_heads, key_dim] and
 * `values` [tokens, num_kv_heads, value_dim], f32, f16 or bf16, with the tokens of all sequences one after another. */
GQA_API gqa_status gqa_cache_append(gqa_context *context, gqa_cache *cache, int32_t layer,
                                    const gqa_sequence *sequences, const int64_t *counts, int32_t num_sequences,
                                    const DLTensor *keys, const DLTensor *values);

/* Rotates `rows` ([tokens, heads, key_dim], f32, f16 or bf16) in place as the layer rotates keys, token t to position
 * positions[t]: for queries. */
GQA_API gqa_status gqa_cache_rotate(gqa_context *context, const gqa_cache *cache, int32_t layer,
                                    const int64_t *positions, DLTensor *rows);

/* Reads tokens begin, begin + 1, ... of a sequence as f32, dequantised: `keys` [tokens, num_kv_heads, key_dim] and
 * `values` [tokens, num_kv_heads, value_dim], either may be NULL. For looking, not for attention. */
GQA_API gqa_status gqa_cache_read(gqa_context *context, const gqa_cache *cache, gqa_sequence sequence, int32_t layer,
                                  int64_t begin, DLTensor *keys, DLTensor *values);

/* Writes a sequence to a file, which appears complete or not at all, and adds the sequence in a file to a cache whose
 * layers have the same heads, types and windows. Page sizes may differ. Files are checked as a whole before use. */
GQA_API gqa_status gqa_cache_save(gqa_context *context, const gqa_cache *cache, gqa_sequence sequence,
                                  const char *path);
GQA_API gqa_status gqa_cache_load(gqa_context *context, gqa_cache *cache, const char *path, gqa_sequence *sequence);

/*--- What kernels read ----------------------------------------------------------------------------------------------*/

/* Keys or values of all pages of a layer: [num_pages][num_kv_heads][page_size][dim], dense. Strides are in elements. */
typedef struct gqa_cache_pages {
  void *data;
  int32_t type; /* gqa_cache_type */
  int64_t dim;
  int64_t page_stride, head_stride, token_stride;
  const float *scales; /* [num_pages][num_kv_heads][page_size], NULL if there are none */
  int64_t scale_page_stride, scale_head_stride;
  const float *channel_scales; /* [num_kv_heads][dim], NULL if there are none */
} gqa_cache_pages;

/* Valid as long as the cache. Slot s of a sequence is token s % page_size of page table[s / page_size]. Token p is in
 * slot p; in a ring, if p >= sinks, in slot sinks + (p - sinks) % ring_slots. */
typedef struct gqa_cache_view {
  gqa_cache_pages keys, values;
  int64_t num_pages, num_kv_heads, page_size;
  int64_t sinks, ring_slots, slack; /* 0 unless a ring */
} gqa_cache_view;

GQA_API gqa_status gqa_cache_get_view(gqa_context *context, const gqa_cache *cache, int32_t layer,
                                      gqa_cache_view *view);

/* Writes for each sequence i its page numbers to table[i * row_size ...], the number of its slots in use to
 * kv_lengths[i] and its number of tokens to lengths[i] (the two differ in rings); any of the three may be NULL. Of a
 * row only what is in use is written. If row_size is too small the call fails and *needed, unless NULL, is the number
 * of pages of the longest sequence; it is set on success, too. */
GQA_API gqa_status gqa_cache_get_table(gqa_context *context, const gqa_cache *cache, int32_t layer,
                                       const gqa_sequence *sequences, int32_t num_sequences, int32_t *table,
                                       int64_t row_size, int32_t *kv_lengths, int64_t *lengths, int64_t *needed);

/* The same for a cache on a device: `table` is [num_sequences, pages] and `kv_lengths` and `lengths` are
 * [num_sequences], i32, dense, on the cache's device; any may be NULL. Kernels on the context's stream write them; of
 * `table`, pages that are not in use are 0. */
GQA_API gqa_status gqa_cache_put_table(gqa_context *context, const gqa_cache *cache, int32_t layer,
                                       const gqa_sequence *sequences, int32_t num_sequences, DLTensor *table,
                                       DLTensor *kv_lengths, DLTensor *lengths);

/*--- Attention ------------------------------------------------------------------------------------------------------*/

/* What gqa_cache_attend reads and writes. `tokens` counts the queries of all sequences, one sequence after another.
 * Zero-initialise it: NULL stands for what is left out. */
typedef struct gqa_attend_arguments {
  const DLTensor *queries; /* [tokens, heads, key_dim], rotated (gqa_cache_rotate); f32, f16 or bf16, as the entry is */
  DLTensor *output;        /* [tokens, heads, value_dim], of the entry's type */
  DLTensor *lse;           /* NULL, or [tokens, heads], f32: log of the sum of the exponentials of the scores */
  const DLTensor *sinks;   /* [heads], f32: a logit in each softmax's denominator, for entries that take them */
  const DLTensor *mask;    /* [tokens, keys], bytes, 0 hides a key, for entries that take it: trees of speculation. Keys
                              are counted as they are stored; `keys` is at least the longest sequence's number */
  /* On a device: NULL, or what gqa_cache_put_table wrote for these sequences: the table, and kv_lengths, or lengths for
   * entries that take these. All sequences then have as many queries. Kernels read them when they run, so that a call
   * that was captured into a CUDA graph attends to what they say at each replay. */
  const DLTensor *block_table, *lengths;
} gqa_attend_arguments;

/* Attends to what a layer has stored: the counts[i] last tokens of sequences[i], which have been appended, ask.
 * Decoding steps (a count of 1), chunks of prompts and any mixture are one call; sequences with a count of 0 are left
 * out. What a sequence gets does not depend on the others, nor on how its tokens lie in pages, to the bit. In a ring
 * that has overwritten tokens, at most slack + 1 of a sequence ask, less those that have been taken back and not
 * replaced yet: others would miss keys.
 *
 * `entry` and, for single queries if the artifact has it, `entry`_decode are entries that
 * `gqa-compile --for-cache DESCRIPTION` makes; any entry that is one gqa.attention with a block_table will do
 * (dialect/GQAOps.td). Fails, naming what the layer stores and what the entry takes, if they do not fit. */
GQA_API gqa_status gqa_cache_attend(gqa_context *context, const gqa_cache *cache, const gqa_artifact *artifact,
                                    const char *entry, int32_t layer, const gqa_sequence *sequences,
                                    const int64_t *counts, int32_t num_sequences,
                                    const gqa_attend_arguments *arguments);

/* The bytes of workspace (gqa_context_set_workspace) that gqa_cache_attend needs with these arguments, on the device of
 * the cache: 0 on the CPU. They grow with the sequences; more than that will do. Loads all kernels, if this is the
 * first call, so that gqa_cache_attend may be captured after it.
 *
 * On a device all tensors are there, too, and gqa_cache_attend starts kernels on the context's stream and returns: it
 * waits for nothing and allocates nothing there. Block tables go along as parameters of kernels, about 1000 pages to a
 * launch, so a call that is captured attends to the same pages at each replay, unless block_table and lengths are
 * given. */
GQA_API gqa_status gqa_cache_attend_workspace_size(gqa_context *context, const gqa_cache *cache,
                                                   const gqa_artifact *artifact, const char *entry, int32_t layer,
                                                   const gqa_sequence *sequences, const int64_t *counts,
                                                   int32_t num_sequences, const gqa_attend_arguments *arguments,
                                                   int64_t *bytes);

/*--- Partial results ------------------------------------------------------------------------------------------------*/

/* Merges attention over disjoint ranges of keys: outputs[i] is [..., dv] and lses[i] [...], all f32 and of the same
 * shapes, of at most GQA_MAX_RANK dimensions. The result may be written over one of the parts. A row has no keys in a
 * part where its lse is -inf; a row without any gives 0 and -inf.
 *
 * On a CUDA device, all on one, a kernel on the context's stream does it, for at most 48 parts, whose rows fold into at
 * most 4 dimensions. The first call with a context loads it, unless that has made a cache there; do so before
 * capturing. */
GQA_API gqa_status gqa_merge(gqa_context *context, const DLTensor *const *outputs, const DLTensor *const *lses,
                             int32_t num_parts, DLTensor *output, DLTensor *lse);

#ifdef __cplusplus
}
#endif
#endif /* GQA_CACHE_H */
