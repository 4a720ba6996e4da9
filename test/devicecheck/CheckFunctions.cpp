#include "test/devicecheck/CheckFunctions.h"

#include "test/fuzz/CachedKernel.h"
#include "tools/AttentionModule.h"
#include "tools/CacheEntries.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace gqa {
namespace {

constexpr uint64_t kSeed = 6;

struct Heads {
  int64_t hkv, g;
};
struct HeadDims {
  int64_t dqk, dv;
};

const std::vector<Dim> kHeadsFirst = {Dim::b, Dim::hkv, Dim::g, Dim::m, Dim::dqk};
const std::vector<Dim> kTokensFirst = {Dim::b, Dim::m, Dim::hkv, Dim::g, Dim::dqk};

/// Attention in one type, on tensors [b, heads, tokens, dim] or [b, tokens, heads, dim] of any b, m and n.
FuzzFunction makeFunction(ElementType type, Heads heads, HeadDims dims, bool areTokensFirst) {
  FuzzFunction function;
  function.dynamicDims = {Dim::b, Dim::m, Dim::n};
  AttentionProblem &problem = function.problem;
  problem.extents = {1, heads.hkv, heads.g, 1, 1, dims.dqk, dims.dv};
  problem.query.dims = areTokensFirst ? kTokensFirst : kHeadsFirst;
  problem.key.dims = areTokensFirst ? std::vector<Dim>{Dim::b, Dim::n, Dim::hkv, Dim::dqk}
                                    : std::vector<Dim>{Dim::b, Dim::hkv, Dim::n, Dim::dqk};
  problem.value.dims = problem.key.dims;
  problem.output.dims = problem.query.dims;
  for (Operand *operand : {&problem.value, &problem.output})
    operand->dims.back() = Dim::dv;
  for (Operand *operand : {&problem.query, &problem.key, &problem.value, &problem.output})
    operand->type = type;
  problem.scale = 1 / std::sqrt(static_cast<float>(dims.dqk));
  return function;
}

void addLse(AttentionProblem &problem) { problem.lse = Operand{{Dim::b, Dim::hkv, Dim::g, Dim::m}}; }

std::string printName(const char *stage, ElementType type, Heads heads, HeadDims dims) {
  std::string name = std::string(stage) + "_" + getName(type) + "_h" + std::to_string(heads.hkv * heads.g) + "_kv" +
                     std::to_string(heads.hkv) + "_d" + std::to_string(dims.dqk);
  return dims.dv == dims.dqk ? name : name + "_" + std::to_string(dims.dv);
}

constexpr ElementType kTypes[] = {ElementType::bf16, ElementType::f16};

void addTiles(std::vector<CheckFunction> &functions) {
  for (HeadDims dims : {HeadDims{64, 64}, {96, 96}, {128, 128}, {192, 128}, {192, 192}, {256, 256}})
    for (ElementType type : kTypes)
      for (Heads heads : {Heads{1, 1}, Heads{2, 4}}) {
        FuzzFunction function = makeFunction(type, heads, dims, /*areTokensFirst=*/heads.g > 1);
        function.problem.windowLeft = function.problem.windowRight = 0;
        function.problem.offset = Operand{{Dim::b}, ElementType::i32};
        addLse(function.problem);
        functions.push_back({printName("tiles", type, heads, dims), Stage::tiles, function, 3});
      }
}

void addBlocks(std::vector<CheckFunction> &functions) {
  for (int64_t dim : {64, 96, 128, 192, 256})
    for (ElementType type : kTypes) {
      Heads heads = {2, 2};
      FuzzFunction function = makeFunction(type, heads, {dim, dim}, /*areTokensFirst=*/false);
      addLse(function.problem);
      functions.push_back({printName("block", type, heads, {dim, dim}), Stage::block, function, 4});
    }
}

/// Draws what the scores and masks of one function have.
void addOptions(AttentionProblem &problem, Random &random) {
  std::vector<Dim> scoreDims = {Dim::b, Dim::hkv, Dim::g, Dim::m, Dim::n};
  if (random.chance(50))
    addLse(problem);
  if (random.chance(20))
    problem.softcap = random.pick<float>({15, 30, 50});
  if (random.chance(15))
    problem.bias = Operand{scoreDims, random.chance(50) ? ElementType::f32 : problem.query.type};
  if (random.chance(20))
    problem.sink = Operand{{Dim::hkv, Dim::g}, ElementType::f32};
  if (random.chance(15))
    problem.mask = Operand{random.chance(50) ? scoreDims : std::vector<Dim>{Dim::b, Dim::m, Dim::n}, ElementType::i1};
  if (random.chance(50))
    problem.kvLen = Operand{{Dim::b}, random.chance(50) ? ElementType::i32 : ElementType::i64};
  problem.causal = random.chance(60);
  if (random.chance(25))
    problem.windowLeft = random.pick<int64_t>({0, 17, 64, 200, 1024});
  if (!problem.isMaskedByPosition())
    return;
  if (random.chance(25))
    problem.offset = Operand{{Dim::b}, ElementType::i32};
  else
    problem.alignment = random.chance(60) ? Alignment::bottomRight : Alignment::topLeft;
}

void addCorrectness(std::vector<CheckFunction> &functions) {
  const std::vector<Heads> heads = {{8, 4}, {4, 1},  {1, 8},  {2, 3}, {1, 5}, {1, 7},
                                    {2, 8}, {2, 16}, {1, 71}, {2, 6}, {1, 24}};
  const std::vector<HeadDims> dims = {{128, 128}, {64, 64}, {96, 96},   {256, 256},
                                      {192, 192}, {80, 80}, {112, 112}, {192, 128}};
  for (size_t i = 0; i < heads.size() * dims.size(); ++i) {
    Random random(kSeed, i);
    ElementType type = random.pick<ElementType>({ElementType::bf16, ElementType::f16});
    Heads h = heads[i % heads.size()];
    HeadDims d = dims[i % dims.size()];
    FuzzFunction function = makeFunction(type, h, d, /*areTokensFirst=*/random.chance(50));
    addOptions(function.problem, random);
    functions.push_back({printName("correctness", type, h, d), Stage::correctness, function, 6});
  }
}

/// Fixes the number of query positions, for which there are kernels of their own where there are few rows.
void fixPositions(CheckFunction &function, int64_t positions) {
  function.function.dynamicDims.erase(Dim::m);
  at(function.function.problem.extents, Dim::m) = positions;
  function.name += "_m" + std::to_string(positions);
}

/// Decoding of one token or a few: keys are shared by warps and split over blocks, and partial results are merged.
void addDecode(std::vector<CheckFunction> &functions) {
  const std::vector<Heads> heads = {{8, 4}, {4, 1}, {1, 8}, {2, 3}, {1, 5}, {1, 7}, {2, 2}, {2, 16}, {1, 71}};
  const std::vector<HeadDims> dims = {{128, 128}, {64, 64}, {96, 96}, {256, 256}, {192, 128}, {80, 80}, {192, 192}};
  constexpr size_t kCount = 36;
  for (size_t i = 0; i < kCount; ++i) {
    Random random(~kSeed, i);
    ElementType type = random.pick<ElementType>({ElementType::bf16, ElementType::f16});
    Heads h = heads[i % heads.size()];
    HeadDims d = dims[i % dims.size()];
    FuzzFunction function = makeFunction(type, h, d, /*areTokensFirst=*/random.chance(50));
    addOptions(function.problem, random);
    functions.push_back({printName("correctness", type, h, d), Stage::correctness, function, 4});
    fixPositions(functions.back(), i % 3 == 2 && h.g <= 16 ? 4 : 1);
  }
}

/// What is multiplied as f32.
void addF32(std::vector<CheckFunction> &functions) {
  for (int64_t dim : {64, 128, 256}) {
    FuzzFunction function = makeFunction(ElementType::f32, {2, 3}, {dim, dim}, /*areTokensFirst=*/false);
    function.problem.causal = true;
    function.problem.alignment = Alignment::bottomRight;
    functions.push_back(
        {printName("correctness", ElementType::f32, {2, 3}, {dim, dim}), Stage::correctness, function, 6});
  }
}

std::string printLayout(const CacheLayout &layout) {
  static const char *const kNames[] = {"f32", "f16", "bf16", "i8", "f8", "i4"};
  std::string text = std::string("_") + kNames[static_cast<int>(layout.keyType)];
  if (layout.valueType != layout.keyType)
    text += std::string("_") + kNames[static_cast<int>(layout.valueType)];
  text += layout.pageSize == 0 ? "_contiguous" : "_pages" + std::to_string(layout.pageSize);
  return text + (layout.hasChannelScales ? "_channels" : "") + (layout.ring ? "_ring" : "");
}

ElementType getDenseType(CacheType type) {
  return type == CacheType::f16 ? ElementType::f16 : type == CacheType::bf16 ? ElementType::bf16 : ElementType::f32;
}

/// Decoding, chunks and prompts on a cache; `ring`: decoding in a ring that holds the window.
CheckFunction makeCached(ElementType query, Heads heads, HeadDims dims, CacheLayout layout, bool isRing) {
  FuzzFunction function = makeFunction(query, heads, dims, /*areTokensFirst=*/false);
  AttentionProblem &problem = function.problem;
  problem.key.type = getDenseType(layout.keyType);
  problem.value.type = getDenseType(layout.valueType);
  problem.kvLen = Operand{{Dim::b}, ElementType::i32};
  problem.causal = true;
  problem.alignment = Alignment::bottomRight;
  if (isRing) {
    problem.windowLeft = 150;
    layout.ring = Ring{/*sinks=*/0, *problem.windowLeft + 1};
    function.dynamicDims.erase(Dim::m); // a ring holds what its number of rows needs
  }
  addLse(problem);
  return {printName("cached", query, heads, dims) + printLayout(layout), Stage::cached, function, 6, layout};
}

void addCached(std::vector<CheckFunction> &functions) {
  using Type = CacheType;
  auto make = [](Type key, Type value, int64_t pageSize, bool hasChannelScales = false) {
    return CacheLayout{key, value, pageSize, hasChannelScales, /*ring=*/std::nullopt};
  };
  const CacheLayout layouts[] = {make(Type::bf16, Type::bf16, 16),     make(Type::i8, Type::i8, 16),
                                 make(Type::f8e4m3, Type::f8e4m3, 64), make(Type::i4, Type::i4, 16),
                                 make(Type::i8, Type::i4, 0),          make(Type::i8, Type::i8, 64, true),
                                 make(Type::bf16, Type::bf16, 0),      make(Type::f8e4m3, Type::i8, 7)};
  const Heads heads[] = {{2, 4}, {1, 7}, {2, 3}, {1, 8}, {4, 1}};
  size_t number = 0;
  for (HeadDims dims : {HeadDims{128, 128}, {64, 64}, {256, 256}, {192, 128}})
    for (const CacheLayout &layout : layouts)
      if (number++ % 2 == 0 || dims.dqk == 128)
        functions.push_back(makeCached(ElementType::bf16, heads[number % 5], dims, layout, /*isRing=*/false));
  // Decoding alone, and a few tokens.
  for (HeadDims dims : {HeadDims{128, 128}, {64, 64}, {256, 256}, {192, 128}})
    for (const CacheLayout &layout : layouts)
      if (number++ % 3 == 0 || dims.dqk == 128) {
        functions.push_back(makeCached(ElementType::bf16, heads[number % 5], dims, layout, /*isRing=*/false));
        functions.back().calls = 4;
        fixPositions(functions.back(), number % 4 == 0 ? 4 : 1);
      }
  for (int64_t dim : {96, 128})
    functions.push_back(makeCached(ElementType::f16, {2, 4}, {dim, dim}, make(Type::f16, Type::f16, 32), false));
  functions.push_back(makeCached(ElementType::f16, {2, 4}, {128, 128}, make(Type::i8, Type::i8, 16), false));
  functions.push_back(makeCached(ElementType::f32, {2, 4}, {128, 128}, make(Type::f32, Type::f32, 16), false));
  for (Type type : {Type::bf16, Type::i8})
    functions.push_back(makeCached(ElementType::bf16, {2, 4}, {128, 128}, make(type, type, 16), /*isRing=*/true));
}

void addBenches(std::vector<CheckFunction> &functions) {
  auto add = [&](const char *kind, ElementType type, Heads heads, int64_t dim, bool isCausal) {
    FuzzFunction function = makeFunction(type, heads, {dim, dim}, /*areTokensFirst=*/false);
    if (isCausal) {
      function.problem.causal = true;
      function.problem.alignment = Alignment::topLeft;
    }
    if (kind == std::string("decode"))
      function.dynamicDims.erase(Dim::m); // one position, as makeFunction() has it
    functions.push_back({printName(kind, type, heads, {dim, dim}), Stage::bench, function, 1});
  };
  for (int64_t dim : {128, 64, 256}) {
    add("prefill_causal", ElementType::bf16, {8, 4}, dim, /*isCausal=*/true);
    add("prefill_full", ElementType::bf16, {8, 4}, dim, /*isCausal=*/false);
  }
  for (int64_t g : {4, 1, 2, 3, 5, 6, 7, 8})
    add("decode", ElementType::bf16, {8, g}, 128, /*isCausal=*/false);
  for (auto [type, pageSize] :
       {std::pair("f16", 0), {"f16", 16}, {"f16", 64}, {"i8", 16}, {"f8e4m3", 16}, {"i4", 16}}) {
    CheckFunction function;
    DecodeCase &layout = function.decodeCase.emplace();
    layout.type = type;
    layout.pageSize = pageSize;
    function.name =
        std::string("decode_cache_") + type + (pageSize ? "_pages" + std::to_string(pageSize) : "_contiguous");
    function.stage = Stage::bench;
    functions.push_back(function);
  }
}

/// Shortens the longer of queries and keys until the tensors are made in a fraction of a second.
void limitSize(AttentionProblem &problem) {
  auto getElements = [&](Dim tokens) {
    int64_t heads = problem.getExtent(Dim::hkv) * (tokens == Dim::m ? problem.getExtent(Dim::g) : 1);
    return problem.getExtent(Dim::b) * heads * problem.getExtent(tokens) * problem.getExtent(Dim::dqk);
  };
  bool hasScores = (problem.bias || problem.mask) != 0;
  auto getScores = [&] {
    return problem.getExtent(Dim::b) * problem.getExtent(Dim::hkv) * problem.getExtent(Dim::g) *
           problem.getExtent(Dim::m) * problem.getExtent(Dim::n);
  };
  while (getElements(Dim::m) > 3'000'000)
    at(problem.extents, Dim::m) /= 2;
  while (getElements(Dim::n) > 6'000'000 || (hasScores && getScores() > 10'000'000))
    at(problem.extents, Dim::n) /= 2;
}

struct Lengths {
  int64_t b, m, n;
};

Lengths drawLengths(const CheckFunction &function, int64_t call, Random &random) {
  switch (function.stage) {
  case Stage::tiles:
    return {8, 64 + random.between(0, 16), random.pick<int64_t>({64, 128, 176, 200})};
  case Stage::block:
    return std::vector<Lengths>{{1, 16, 64}, {1, 64, 64}, {2, 64, 48}, {1, 1, 64}}[static_cast<size_t>(call % 4)];
  default:
    break;
  }
  int64_t longN = random.pick<int64_t>({1, 63, 64, 65, 127, 129, 512, 513, 1000, 2048, 4097});
  switch (call % 6) {
  case 0: // decode
    return {random.between(1, 4), 1, longN};
  case 1: // decode of one long sequence, split over keys
    return {1, 1, random.between(4000, 9000)};
  case 2: // some rows, as in speculation
    return {random.between(1, 3), random.between(2, 9), longN};
  case 3: // a prompt
    return {1, 257, 257};
  case 4: // lengths that divide nothing
    return {random.between(2, 3), random.between(30, 300), random.between(30, 700)};
  default: // a chunk of a prompt behind a cache
    return {1, random.pick<int64_t>({64, 100, 128}), longN + 300};
  }
}

} // namespace

const char *getName(Stage stage) {
  constexpr const char *kNames[] = {"tiles", "block", "correctness", "cached", "bench", "tune"};
  return kNames[static_cast<size_t>(stage)];
}

std::vector<CheckFunction> makeCheckFunctions() {
  std::vector<CheckFunction> functions;
  addTiles(functions);
  addBlocks(functions);
  addCorrectness(functions);
  addDecode(functions);
  addF32(functions);
  addCached(functions);
  addBenches(functions);
  addScheduleVariants(functions);
  return functions;
}

DecodePlan makeDecodePlan() { return {}; }

std::string CheckFunction::print() const {
  if (decodeCase) {
    std::string text, error;
    if (!makeCacheEntries(printCacheSpec(makeDecodePlan(), *decodeCase, "f"), text, error))
      throw std::runtime_error(error);
    return text;
  }
  if (!layout)
    return printAttentionFunction(function.problem, "f", function.dynamicDims, schedule);
  return printAttentionFunction(makeCachedProblem(function.problem, *layout), "f", getCachedDims(function, *layout));
}

uint64_t getStream(const CheckFunction &function) {
  uint64_t hash = 0xcbf29ce484222325u; // FNV-1a: the same on every machine
  for (char c : function.name)
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return hash;
}

AttentionProblem makeCheckCall(const CheckFunction &function, int64_t call, bool isSmall) {
  Random random(getStream(function), static_cast<uint64_t>(call));
  Lengths lengths = drawLengths(function, call, random);
  if (isSmall)
    lengths = {std::min<int64_t>(lengths.b, 2), std::min<int64_t>(lengths.m, 40), std::min<int64_t>(lengths.n, 150)};
  AttentionProblem problem = function.function.problem;
  at(problem.extents, Dim::b) = lengths.b;
  if (function.function.dynamicDims.count(Dim::m) > 0)
    at(problem.extents, Dim::m) = lengths.m;
  at(problem.extents, Dim::n) = lengths.n;
  limitSize(problem);
  return problem;
}

} // namespace gqa
