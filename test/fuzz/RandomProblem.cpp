#include "test/fuzz/RandomProblem.h"

#include "tools/AttentionModule.h"

#include <algorithm>
#include <cmath>
#include <sstream>

namespace gqa {
namespace {

/// Multiplications of one call that keep it at a few milliseconds.
constexpr int64_t kMaxProducts = 8'000'000;

int64_t drawBatch(Random &random) { return random.chance(2) ? 0 : random.pick<int64_t>({1, 1, 2, 3}); }

/// Query rows: decoding, a few rows (speculation), and lengths around powers of two that tiles have.
int64_t drawRows(Random &random) {
  if (random.chance(35))
    return 1;
  if (random.chance(3))
    return 0;
  if (random.chance(40))
    return random.between(2, 9);
  return random.chance(40) ? random.pick<int64_t>({15, 16, 17, 31, 33, 63, 64, 65}) : random.between(1, 150);
}

int64_t drawKeys(Random &random) {
  if (random.chance(8))
    return random.between(0, 1);
  if (random.chance(25))
    return random.between(2, 40);
  if (random.chance(30))
    return random.pick<int64_t>({63, 64, 65, 127, 128, 129, 255, 257, 511, 512, 513, 1024, 1025});
  return random.chance(70) ? random.between(1, 300) : random.between(300, 1300);
}

int64_t drawHeadDim(Random &random) {
  if (random.chance(70))
    return random.pick<int64_t>({8, 16, 32, 40, 64, 72, 80, 96, 112, 128, 192, 256});
  return random.between(1, 160);
}

/// Makes a call affordable by shortening the longer of its lengths. Static lengths stay.
void limitWork(AttentionProblem &problem, const std::set<Dim> &fixed) {
  auto getProducts = [&] {
    int64_t products = problem.getExtent(Dim::dqk) + problem.getExtent(Dim::dv);
    for (Dim dim : {Dim::b, Dim::hkv, Dim::g, Dim::m, Dim::n})
      products *= problem.getExtent(dim);
    return products;
  };
  while (getProducts() > kMaxProducts) {
    Dim longer = problem.getExtent(Dim::m) > problem.getExtent(Dim::n) ? Dim::m : Dim::n;
    if (fixed.count(longer))
      longer = longer == Dim::m ? Dim::n : Dim::m;
    if (fixed.count(longer) || problem.getExtent(longer) <= 2)
      return;
    at(problem.extents, longer) = problem.getExtent(longer) * 2 / 3;
  }
}

/// Draws one function, step by step.
class FunctionMaker {
public:
  explicit FunctionMaker(Random &random) : random(random) {}

  FuzzFunction make() {
    makeExtents();
    makeTypes();
    makeLayouts();
    makeScores();
    makeMasks();
    return function;
  }

private:
  void makeExtents() {
    static const std::vector<int64_t> groups = {1, 1, 2, 3, 4, 4, 5, 6, 7, 8, 8, 12, 16, 24, 32, 48, 71};
    at(problem.extents, Dim::g) = random.pick(groups);
    at(problem.extents, Dim::hkv) = problem.getExtent(Dim::g) > 8 ? random.between(1, 2) : random.between(1, 5);
    at(problem.extents, Dim::dqk) = drawHeadDim(random);
    at(problem.extents, Dim::dv) = random.chance(70) ? problem.getExtent(Dim::dqk) : drawHeadDim(random);
    at(problem.extents, Dim::b) = drawBatch(random);
    at(problem.extents, Dim::m) = drawRows(random);
    at(problem.extents, Dim::n) = drawKeys(random);
    if (!random.chance(20))
      for (auto [dim, percent] : {std::pair(Dim::b, 50), std::pair(Dim::m, 60), std::pair(Dim::n, 80)})
        if (random.chance(percent))
          function.dynamicDims.insert(dim);
    limitWork(problem, /*fixed=*/{});
    // A query without b or m: both are 1 then.
    rowDims = {Dim::b, Dim::hkv, Dim::g, Dim::m};
    for (auto [dim, percent] : {std::pair(Dim::b, 6), std::pair(Dim::m, 5)})
      if (random.chance(percent)) {
        rowDims.erase(std::find(rowDims.begin(), rowDims.end(), dim));
        at(problem.extents, dim) = 1;
        function.dynamicDims.erase(dim);
      }
  }

  ElementType drawFloat() { return random.pick<ElementType>({ElementType::f32, ElementType::f16, ElementType::bf16}); }
  ElementType drawInteger() { return random.chance(50) ? ElementType::i32 : ElementType::i64; }

  void makeTypes() {
    type = random.chance(25) ? ElementType::f32 : drawFloat();
    bool isMixed = random.chance(10);
    problem.query.type = isMixed ? drawFloat() : type;
    problem.key.type = isMixed ? drawFloat() : type;
    problem.value.type = isMixed ? drawFloat() : type;
    problem.output.type = isMixed ? drawFloat() : random.chance(15) ? ElementType::f32 : type;
  }

  /// `outer` in some order, then `inner`; sometimes any order of all.
  std::vector<Dim> drawLayout(std::vector<Dim> outer, Dim inner) {
    if (random.chance(60))
      random.shuffle(outer);
    outer.push_back(inner);
    if (random.chance(8))
      random.shuffle(outer);
    return outer;
  }

  void makeLayouts() {
    problem.query.dims = drawLayout(rowDims, Dim::dqk);
    problem.output.dims = random.chance(60) ? problem.query.dims : drawLayout(rowDims, Dim::dv);
    std::replace(problem.output.dims.begin(), problem.output.dims.end(), Dim::dqk, Dim::dv);
    // The dimensions that keys and values share with queries: broadcast over the others.
    std::vector<Dim> outer;
    bool hasGroup = random.chance(4);
    for (Dim dim : rowDims)
      if ((dim == Dim::b && !random.chance(4)) || (dim == Dim::hkv && !random.chance(4)) || (dim == Dim::g && hasGroup))
        outer.push_back(dim);
    outer.push_back(Dim::n);
    problem.key.dims = drawLayout(outer, Dim::dqk);
    problem.value.dims = random.chance(60) ? problem.key.dims : drawLayout(outer, Dim::dv);
    std::replace(problem.value.dims.begin(), problem.value.dims.end(), Dim::dqk, Dim::dv);
    if (random.chance(40)) {
      problem.lse = Operand{rowDims};
      if (random.chance(30))
        random.shuffle(problem.lse->dims);
    }
  }

  /// Each of `dims` with some probability, rarely in another order.
  std::vector<Dim> drawSubset(const std::vector<Dim> &dims, int percent) {
    std::vector<Dim> subset;
    for (Dim dim : dims)
      if (random.chance(percent))
        subset.push_back(dim);
    if (random.chance(20))
      random.shuffle(subset);
    return subset;
  }

  std::vector<Dim> keepRowDims(std::vector<Dim> dims) {
    auto isMissing = [&](Dim dim) {
      return dim != Dim::n && std::find(rowDims.begin(), rowDims.end(), dim) == rowDims.end();
    };
    dims.erase(std::remove_if(dims.begin(), dims.end(), isMissing), dims.end());
    return dims;
  }

  void makeScores() {
    problem.scale = 1 / std::sqrt(static_cast<float>(problem.getExtent(Dim::dqk)));
    if (random.chance(20))
      problem.scale *= random.pick<float>({0, -1, 0.5f, 3, 10, 0.123f});
    if (random.chance(20))
      problem.softcap = random.pick<float>({0.5f, 2, 15, 30, 50});
    std::vector<Dim> scoreDims = keepRowDims({Dim::b, Dim::hkv, Dim::g, Dim::m, Dim::n});
    if (random.chance(25))
      problem.bias = Operand{drawSubset(scoreDims, 65), random.chance(50) ? ElementType::f32 : drawFloat()};
    if (random.chance(20))
      problem.sink = Operand{drawSubset({Dim::hkv, Dim::g}, 80), random.chance(60) ? ElementType::f32 : drawFloat()};
  }

  void makeMasks() {
    std::vector<Dim> scoreDims = keepRowDims({Dim::b, Dim::hkv, Dim::g, Dim::m, Dim::n});
    std::vector<Dim> batch = keepRowDims({Dim::b});
    if (random.chance(20))
      problem.mask = Operand{drawSubset(scoreDims, 65), random.chance(50) ? ElementType::i1 : ElementType::i8};
    if (random.chance(45))
      problem.kvLen = Operand{drawSubset(batch, 85), drawInteger()};
    problem.causal = random.chance(45);
    static const std::vector<int64_t> windows = {0, 1, 5, 17, 64, 200, 100000};
    if (random.chance(25)) {
      if (random.chance(75))
        problem.windowLeft = random.pick(windows);
      if (random.chance(50))
        problem.windowRight = random.pick(windows);
    }
    if (!problem.isMaskedByPosition())
      return;
    if (random.chance(40))
      problem.offset = Operand{drawSubset(batch, 85), drawInteger()};
    else
      problem.alignment = random.chance(60) ? Alignment::bottomRight : Alignment::topLeft;
  }

  Random &random;
  FuzzFunction function;
  AttentionProblem &problem = function.problem;
  std::vector<Dim> rowDims;
  ElementType type = ElementType::f32;
};

void printOperand(std::ostringstream &text, const char *name, const Operand &operand) {
  text << " " << name << "[";
  for (size_t i = 0; i < operand.dims.size(); ++i)
    text << (i ? "," : "") << getName(operand.dims[i]);
  text << "]" << getName(operand.type);
}

} // namespace

FuzzFunction makeRandomFunction(Random &random) { return FunctionMaker(random).make(); }

namespace {

CacheLayout drawLayout(const AttentionProblem &problem, Random &random) {
  CacheLayout layout;
  auto drawType = [&](Dim row) {
    bool isEven = problem.getExtent(row) % 2 == 0;
    return random.pick<CacheType>({CacheType::f32, CacheType::f16, CacheType::bf16, CacheType::i8, CacheType::f8e4m3,
                                   isEven ? CacheType::i4 : CacheType::i8});
  };
  layout.keyType = drawType(Dim::dqk);
  layout.valueType = random.chance(60) && problem.getExtent(Dim::dv) % 2 == 0 ? layout.keyType : drawType(Dim::dv);
  layout.hasChannelScales = random.chance(20);
  // Powers of two are what a cache has; the op takes any.
  layout.pageSize = random.pick<int64_t>({0, 1, 2, 4, 8, 16, 16, 32, 64, 128, 256, 48, 7});
  return layout;
}

/// Keys of a ring are those of the window before the last row.
void makeRing(CachedFuzzFunction &function, Random &random) {
  AttentionProblem &problem = function.dense.problem;
  problem.causal = true;
  problem.windowRight.reset();
  problem.windowLeft = random.between(0, 150);
  problem.alignment = Alignment::bottomRight;
  problem.bias.reset();
  problem.mask.reset();
  problem.offset.reset();
  // Rows that calls with more positions would need do not fit a static ring.
  function.dense.dynamicDims.erase(Dim::m);
  function.layout.ring = Ring{0, *problem.windowLeft + problem.getExtent(Dim::m) + random.between(0, 9)};
}

ElementType getDenseType(CacheType type) {
  return type == CacheType::f16 ? ElementType::f16 : type == CacheType::bf16 ? ElementType::bf16 : ElementType::f32;
}

} // namespace

CachedFuzzFunction makeRandomCachedFunction(Random &random) {
  CachedFuzzFunction function;
  function.dense = makeRandomFunction(random);
  AttentionProblem &problem = function.dense.problem;
  function.layout = drawLayout(problem, random);
  auto setRows = [&](Operand &operand, Dim row, CacheType type) {
    operand.dims.clear();
    for (Dim dim : {Dim::b, Dim::hkv})
      if (std::count(problem.query.dims.begin(), problem.query.dims.end(), dim) > 0)
        operand.dims.push_back(dim);
    operand.dims.insert(operand.dims.end(), {Dim::n, row});
    operand.type = getDenseType(type);
  };
  setRows(problem.key, Dim::dqk, function.layout.keyType);
  setRows(problem.value, Dim::dv, function.layout.valueType);
  // Sequences of a cache have lengths, and dense tensors have its bits only where they have, too.
  if (!problem.kvLen)
    problem.kvLen = Operand{{}, ElementType::i32};
  if (random.chance(20))
    makeRing(function, random);
  return function;
}

FuzzFunction restrictToGpu(FuzzFunction function) {
  AttentionProblem &problem = function.problem;
  for (Dim dim : {Dim::dqk, Dim::dv})
    at(problem.extents, dim) = std::min<int64_t>((problem.getExtent(dim) + 7) / 8 * 8, 256);
  for (Operand *operand : {&problem.query, &problem.key, &problem.value, &problem.output}) {
    auto inner = std::find_if(operand->dims.begin(), operand->dims.end(),
                              [](Dim dim) { return dim == Dim::dqk || dim == Dim::dv; });
    std::rotate(inner, inner + 1, operand->dims.end());
  }
  return function;
}

ElementType getWeightType(const AttentionProblem &problem, const CacheLayout &layout, bool isOnGpu) {
  ElementType query = problem.query.type;
  auto isExact = [&](CacheType type, const Operand &operand) { return isQuantised(type) || operand.type == query; };
  bool isHalf =
      query != ElementType::f32 && isExact(layout.keyType, problem.key) && isExact(layout.valueType, problem.value);
  return isOnGpu && isHalf && isQuantised(layout.valueType) ? query : problem.value.type;
}

AttentionProblem makeRandomCall(const FuzzFunction &function, Random &random) {
  AttentionProblem problem = function.problem;
  std::set<Dim> fixed = {Dim::b, Dim::m, Dim::n};
  for (Dim dim : function.dynamicDims) {
    fixed.erase(dim);
    at(problem.extents, dim) = dim == Dim::b ? drawBatch(random) : dim == Dim::m ? drawRows(random) : drawKeys(random);
  }
  limitWork(problem, fixed);
  return problem;
}

std::string describe(const AttentionProblem &problem, const std::set<Dim> &dynamicDims) {
  std::ostringstream text;
  for (int dim = 0; dim < kNumDims; ++dim)
    if (dim < static_cast<int>(Dim::page))
      text << (dim ? " " : "") << getName(static_cast<Dim>(dim)) << "=" << problem.extents[static_cast<size_t>(dim)]
           << (dynamicDims.count(static_cast<Dim>(dim)) ? "?" : "");
  text << " scale=" << problem.scale;
  if (problem.softcap)
    text << " softcap=" << *problem.softcap;
  text << (problem.causal ? " causal" : "");
  if (problem.windowLeft)
    text << " left=" << *problem.windowLeft;
  if (problem.windowRight)
    text << " right=" << *problem.windowRight;
  if (problem.alignment)
    text << (*problem.alignment == Alignment::topLeft ? " top_left" : " bottom_right");
  for (const NamedOperand &argument : getArguments(problem))
    printOperand(text, argument.name, *argument.operand);
  for (const NamedOperand &result : getResults(problem))
    printOperand(text, result.name, *result.operand);
  return text.str();
}

} // namespace gqa
