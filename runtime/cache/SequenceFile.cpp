#include "runtime/cache/SequenceFile.h"

#include "runtime/AtomicFile.h"
#include "runtime/Context.h"
#include "runtime/cache/HostBlocks.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <memory>
#include <xxhash.h>

namespace gqa::cache {

namespace {

constexpr char kMagic[] = "GQACACH1";
constexpr size_t kMagicSize = sizeof(kMagic) - 1;

/// XXH64 of a stream.
class Checksum {
public:
  Checksum() : state(XXH64_createState()) {
    if (!state)
      throw std::bad_alloc();
    XXH64_reset(state.get(), /*seed=*/0);
  }
  void update(const void *bytes, size_t size) { XXH64_update(state.get(), bytes, size); }
  uint64_t get() const { return XXH64_digest(state.get()); }

private:
  struct Free {
    void operator()(XXH64_state_t *state) const { XXH64_freeState(state); }
  };
  std::unique_ptr<XXH64_state_t, Free> state;
};

/// What a file says about a layer. The last two are of the sequence; the others must be those of the cache.
constexpr size_t kNumFields = 12;
constexpr size_t kNumShapeFields = kNumFields - 2;
constexpr const char *kFieldNames[kNumShapeFields] = {"K/V heads",
                                                      "key dim",
                                                      "value dim",
                                                      "key type",
                                                      "value type",
                                                      "ring window",
                                                      "ring sinks",
                                                      "ring slack",
                                                      "checksum of channel scales",
                                                      "checksum of rotary parameters"};
constexpr size_t kLengthField = 10, kOldestField = 11;
using Fields = std::array<int64_t, kNumFields>;

int64_t hashRotary(const RotaryConfig &rotary) {
  if (rotary.dim == 0)
    return 0;
  Checksum checksum;
  auto add = [&](auto value) { checksum.update(&value, sizeof(value)); };
  add(rotary.dim);
  add(rotary.pairs);
  // The frequencies stand for theta and all that stretches them.
  Rotary turned(rotary);
  checksum.update(turned.getFrequencies().data(), turned.getFrequencies().size() * sizeof(double));
  add(turned.getAttentionFactor());
  return static_cast<int64_t>(checksum.get());
}

Fields getShapeFields(const LayerStore &layer) {
  const LayerConfig &config = layer.getConfig();
  bool isRing = layer.getSlots().isRing();
  const std::vector<float> &scales = config.keyChannelScales;
  int64_t scaleHash =
      scales.empty() ? 0 : static_cast<int64_t>(XXH64(scales.data(), scales.size() * sizeof(float), /*seed=*/0));
  return {config.numKvHeads,
          config.keyDim,
          config.valueDim,
          static_cast<int64_t>(config.keyType),
          static_cast<int64_t>(config.valueType),
          isRing ? config.window : 0,
          isRing ? config.sinks : 0,
          isRing ? config.slack : 0,
          scaleHash,
          hashRotary(config.rotary),
          0,
          0};
}

/// Calls visit(position) for each stored position, in order.
template <typename Visit> void forEachStored(const LayerStore &layer, const LayerState &state, Visit visit) {
  int64_t sinks = layer.getSlots().isRing() ? std::min(layer.getSlots().sinks, state.length) : 0;
  for (int64_t position = 0; position < sinks; ++position)
    visit(position);
  for (int64_t position = std::max(sinks, state.oldest); position < state.length; ++position)
    visit(position);
}

int64_t countStored(const LayerStore &layer, int64_t length, int64_t oldest) {
  int64_t sinks = layer.getSlots().isRing() ? std::min(layer.getSlots().sinks, length) : 0;
  return sinks + std::max<int64_t>(0, length - std::max(sinks, oldest));
}

int64_t getTokenBytes(const BlockArena &arena) {
  int64_t scaleBytes = arena.hasTokenScales() ? static_cast<int64_t>(sizeof(float)) : 0;
  return arena.getShape().heads * (arena.getRowBytes() + scaleBytes);
}

int64_t getTokenBytes(const LayerStore &layer) {
  return getTokenBytes(layer.getKeys()) + getTokenBytes(layer.getValues());
}

/// Calls visit(bytes, size) for each piece of a token, in the order of the file.
template <typename Arena, typename Visit>
void forEachPiece(const LayerStore &layer, const LayerState &state, int64_t position, Arena &arena, Visit visit) {
  for (int64_t head = 0; head < arena.getShape().heads; ++head)
    visit(arena.getRow(layer.locate(state, position, head)), static_cast<size_t>(arena.getRowBytes()));
  if (!arena.hasTokenScales())
    return;
  for (int64_t head = 0; head < arena.getShape().heads; ++head)
    visit(arena.getScale(layer.locate(state, position, head)), sizeof(float));
}

/// Keys and values of one sequence, brought to the host.
struct BlockPair {
  BlockPair(const LayerStore &layer, const LayerState &state)
      : keys(layer.getKeys(), state, layer.getSlots().getUsedBlocks(state.length)),
        values(layer.getValues(), state, layer.getSlots().getUsedBlocks(state.length)) {}

  template <typename Visit>
  void visit(const LayerStore &layer, const LayerState &state, int64_t position, Visit visit) {
    forEachPiece(layer, state, position, keys, visit);
    forEachPiece(layer, state, position, values, visit);
  }

  HostBlocks keys, values;
};

class Writer {
public:
  explicit Writer(const std::string &path) : file(path) {}

  void write(const void *bytes, size_t size) {
    file.write(bytes, size);
    checksum.update(bytes, size);
  }
  template <typename Integer> void writeInteger(Integer value) { write(&value, sizeof(value)); }
  void writeChecksum() {
    uint64_t sum = checksum.get();
    file.write(&sum, sizeof(sum));
    checksum = Checksum();
  }
  void commit() { file.commit(); }

private:
  AtomicFile file;
  Checksum checksum;
};

class Reader {
public:
  explicit Reader(const std::string &path) : path(path), stream(path, std::ios::binary | std::ios::ate) {
    if (!stream)
      gqa::fail(errno == ENOENT ? GQA_NOT_FOUND : GQA_IO_ERROR, "cannot open '" + path + "': " + std::strerror(errno));
    std::streamoff end = stream.tellg();
    if (end < 0)
      gqa::fail(GQA_IO_ERROR, "cannot read '" + path + "'");
    remaining = end;
    stream.seekg(0);
  }

  void read(void *bytes, size_t size) {
    readUnchecked(bytes, size);
    checksum.update(bytes, size);
  }
  template <typename Integer> Integer readInteger() {
    Integer value;
    read(&value, sizeof(value));
    return value;
  }
  void readChecksum() {
    uint64_t sum;
    readUnchecked(&sum, sizeof(sum));
    if (sum != checksum.get())
      fail("damaged: a checksum does not match its contents");
    checksum = Checksum();
  }

  int64_t getRemaining() const { return remaining; }

  [[noreturn]] void fail(const std::string &problem) const {
    gqa::fail(GQA_BAD_CACHE_FILE, "'" + path + "' is " + problem);
  }

private:
  void readUnchecked(void *bytes, size_t size) {
    if (remaining < static_cast<int64_t>(size))
      fail("truncated");
    if (!stream.read(static_cast<char *>(bytes), static_cast<std::streamsize>(size)))
      gqa::fail(GQA_IO_ERROR, "cannot read '" + path + "'");
    remaining -= static_cast<int64_t>(size);
  }

  std::string path;
  std::ifstream stream;
  int64_t remaining = 0;
  Checksum checksum;
};

void checkFields(const Reader &reader, const LayerStore &layer, const Fields &fields, int64_t index) {
  Fields expected = getShapeFields(layer);
  for (size_t field = 0; field < kNumShapeFields; ++field)
    if (fields[field] != expected[field])
      reader.fail("for another cache: " + std::string(kFieldNames[field]) + " of layer " + std::to_string(index) +
                  " is " + std::to_string(fields[field]) + ", but the cache has " + std::to_string(expected[field]));
  int64_t length = fields[kLengthField], oldest = fields[kOldestField];
  const SlotMap &slots = layer.getSlots();
  bool isPossible = length >= 0 && length <= kMaxLength && oldest >= slots.getOldest(length) &&
                    (slots.isRing() ? oldest <= std::max(slots.sinks, length) : oldest == 0) &&
                    slots.canTruncate(length, oldest);
  if (!isPossible)
    reader.fail("damaged: layer " + std::to_string(index) + " cannot have " + std::to_string(length) +
                " tokens, the oldest " + std::to_string(oldest));
}

/// Reads and checks all but the tokens; what it returns fits the cache and the size of the file.
std::vector<Fields> readHeader(Reader &reader, const KVCache &cache) {
  char magic[kMagicSize];
  if (reader.getRemaining() < static_cast<int64_t>(kMagicSize))
    reader.fail("not a saved sequence, or truncated");
  reader.read(magic, kMagicSize);
  if (std::memcmp(magic, kMagic, kMagicSize) != 0)
    reader.fail("not a saved sequence");
  uint64_t numLayers = reader.readInteger<uint64_t>();
  if (numLayers > static_cast<uint64_t>(reader.getRemaining()) / sizeof(Fields))
    reader.fail("truncated or damaged");
  std::vector<Fields> layers(numLayers);
  reader.read(layers.data(), numLayers * sizeof(Fields));
  reader.readChecksum();
  if (static_cast<int64_t>(numLayers) != cache.getNumLayers())
    reader.fail("for another cache: it has " + std::to_string(numLayers) + " layers, but the cache has " +
                std::to_string(cache.getNumLayers()));
  int64_t rest = reader.getRemaining() - static_cast<int64_t>(sizeof(uint64_t));
  for (int64_t index = 0; index < cache.getNumLayers(); ++index) {
    const LayerStore &layer = cache.getLayer(index);
    const Fields &fields = layers[static_cast<size_t>(index)];
    checkFields(reader, layer, fields, index);
    int64_t stored = countStored(layer, fields[kLengthField], fields[kOldestField]);
    if (stored > 0 && stored > rest / getTokenBytes(layer))
      reader.fail("truncated");
    rest -= stored * getTokenBytes(layer);
  }
  if (rest != 0)
    reader.fail(rest < 0 ? "truncated" : "damaged: it has " + std::to_string(rest) + " bytes too many");
  return layers;
}

} // namespace

void saveSequence(const KVCache &cache, SequenceId id, const std::string &path, BlockDevice *device) {
  cache.getState(id, 0); // an unknown sequence leaves no trace of a file
  Writer writer(path);
  writer.write(kMagic, kMagicSize);
  writer.writeInteger(static_cast<uint64_t>(cache.getNumLayers()));
  for (int64_t index = 0; index < cache.getNumLayers(); ++index) {
    const LayerStore &layer = cache.getLayer(index);
    const LayerState &state = cache.getState(id, index);
    Fields fields = getShapeFields(layer);
    fields[kLengthField] = state.length;
    fields[kOldestField] = std::max(state.oldest, layer.getSlots().getOldest(state.length));
    writer.write(fields.data(), sizeof(fields));
  }
  writer.writeChecksum();
  auto write = [&](const void *bytes, size_t size) { writer.write(bytes, size); };
  for (int64_t index = 0; index < cache.getNumLayers(); ++index) {
    const LayerStore &layer = cache.getLayer(index);
    const LayerState &state = cache.getState(id, index);
    if (device) {
      BlockPair blocks(layer, state);
      blocks.keys.download(*device);
      blocks.values.download(*device);
      forEachStored(layer, state, [&](int64_t position) { blocks.visit(layer, state, position, write); });
      continue;
    }
    forEachStored(layer, state, [&](int64_t position) {
      forEachPiece(layer, state, position, layer.getKeys(), write);
      forEachPiece(layer, state, position, layer.getValues(), write);
    });
  }
  writer.writeChecksum();
  writer.commit();
}

SequenceId loadSequence(KVCache &cache, const std::string &path, BlockDevice *device) {
  Reader reader(path);
  std::vector<Fields> fields = readHeader(reader, cache);
  std::vector<int64_t> lengths;
  for (const Fields &layer : fields)
    lengths.push_back(layer[kLengthField]);
  SequenceStates states = cache.allocateStates(lengths);
  auto read = [&](void *bytes, size_t size) { reader.read(bytes, size); };
  try {
    for (int64_t index = 0; index < cache.getNumLayers(); ++index) {
      LayerStore &layer = cache.getLayer(index);
      LayerState &state = states[static_cast<size_t>(index)];
      layer.adopt(state, lengths[static_cast<size_t>(index)], fields[static_cast<size_t>(index)][kOldestField]);
      if (device) {
        BlockPair blocks(layer, state);
        forEachStored(layer, state, [&](int64_t position) { blocks.visit(layer, state, position, read); });
        blocks.keys.upload(*device);
        blocks.values.upload(*device);
        continue;
      }
      forEachStored(layer, state, [&](int64_t position) {
        forEachPiece(layer, state, position, layer.getKeys(), read);
        forEachPiece(layer, state, position, layer.getValues(), read);
      });
    }
    reader.readChecksum();
    return cache.addStates(std::move(states));
  } catch (...) {
    cache.release(states);
    throw;
  }
}

} // namespace gqa::cache
