#include "test/fuzz/FuzzCase.h"

#include "tools/AttentionModule.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <iomanip>
#include <limits>
#include <sstream>

namespace gqa {
namespace {

/// Products of the rows that the reference computes per case; of more rows, evenly spaced ones are judged.
constexpr int64_t kMaxReferenceProducts = 1'000'000;

const double kInfinity = std::numeric_limits<double>::infinity();

/// Dense, or with gaps: up to 3 times `step` elements more in each dimension.
std::vector<int64_t> drawPadding(std::vector<int64_t> shape, Random &random, int64_t step) {
  if (random.chance(30))
    for (int64_t &extent : shape)
      extent += step * random.between(0, 3);
  return shape;
}

/// About normal, deviation 1.
double drawNormal(Random &random) { return random.uniform() + random.uniform() + random.uniform(); }

const GuardedTensor *find(const FuzzCase &fuzzCase, const std::string &name) {
  std::vector<NamedOperand> arguments = getArguments(fuzzCase.problem);
  for (size_t i = 0; i < arguments.size() && i < fuzzCase.arguments.size(); ++i)
    if (arguments[i].name == name)
      return &fuzzCase.arguments[i];
  return nullptr;
}

/// Draws the elements of one argument. kv_len is drawn before what it hides.
class Filler {
public:
  Filler(const FuzzCase &fuzzCase, const GuardedTensor *kvLen, Random &random)
      : problem(fuzzCase.problem), kvLen(kvLen), random(random) {}

  void fill(const std::string &name, GuardedTensor &tensor) {
    bool hasInfinities = name == "bias" && random.chance(30);
    double amplitude = name == "query" && random.chance(5) ? 20 : 1;
    // Real queries have channels that are much larger than the others.
    int64_t outlier = name == "query" && random.chance(10) ? random.between(0, problem.getExtent(Dim::dqk) - 1) : -1;
    int maskPercent = random.pick<int>({10, 50, 90});
    tensor.forEach([&](const PerDim &index) {
      if (isHidden(tensor.getOperand(), index))
        return; // stays poison
      if (name == "kv_len")
        tensor.set(index, static_cast<double>(drawKvLen()));
      else if (name == "offset")
        tensor.set(index,
                   static_cast<double>(random.between(-problem.getExtent(Dim::m) - 2, problem.getExtent(Dim::n) + 3)));
      else if (name == "mask")
        tensor.set(index, drawMask(tensor.getOperand().type, maskPercent));
      else
        tensor.set(index, hasInfinities && random.chance(20)
                              ? -kInfinity
                              : (at(index, Dim::dqk) == outlier ? 60 : amplitude) * drawNormal(random));
    });
  }

private:
  int64_t drawKvLen() {
    int64_t keys = problem.getExtent(Dim::n);
    if (random.chance(25))
      return random.chance(50) ? keys : 0;
    return random.between(0, keys);
  }

  double drawMask(ElementType type, int percent) {
    if (!random.chance(percent))
      return 0;
    return type == ElementType::i1 ? 1 : static_cast<double>(random.pick<int>({1, 2, -1, -128}));
  }

  /// Whether kv_len hides the element from every row.
  bool isHidden(const Operand &operand, const PerDim &index) const {
    auto has = [&](Dim dim) { return std::count(operand.dims.begin(), operand.dims.end(), dim) > 0; };
    if (!kvLen || !has(Dim::n) || getByteSize(operand.type) == 1)
      return false;
    int64_t longest = 0;
    for (int64_t b = 0; b < problem.getExtent(Dim::b); ++b)
      longest = std::max(longest, getKvLen(b));
    return at(index, Dim::n) >= (has(Dim::b) ? getKvLen(at(index, Dim::b)) : longest);
  }

  int64_t getKvLen(int64_t b) const { return static_cast<int64_t>(kvLen->get({b, 0, 0, 0, 0, 0, 0})); }

  const AttentionProblem &problem;
  const GuardedTensor *kvLen;
  Random &random;
};

std::vector<DLTensor> getDLTensors(std::vector<GuardedTensor> &tensors) {
  std::vector<DLTensor> views;
  for (GuardedTensor &tensor : tensors)
    views.push_back(tensor.getDLTensor());
  return views;
}

std::string printRow(const PerDim &row) {
  std::ostringstream text;
  for (Dim dim : {Dim::b, Dim::hkv, Dim::g, Dim::m})
    text << (dim == Dim::b ? "" : " ") << getName(dim) << "=" << at(row, dim);
  return text.str();
}

/// Judges results against the reference.
class Judge {
public:
  Judge(const FuzzCase &fuzzCase, const std::vector<GuardedTensor> &results)
      : problem(fuzzCase.problem), inputs(fuzzCase.getInputs()), results(results),
        rule(fuzzCase.weightType.value_or(problem.value.type), problem.output.type),
        queryRoundoff(fuzzCase.queryRoundoff) {
    problem.value.type = fuzzCase.weightType.value_or(problem.value.type);
  }

  std::string judge(Random &random) {
    int64_t rowProducts = problem.getExtent(Dim::n) * (problem.getExtent(Dim::dqk) + problem.getExtent(Dim::dv));
    int64_t affordable = std::max<int64_t>(1, kMaxReferenceProducts / std::max<int64_t>(1, rowProducts));
    int64_t rows = getNumRows();
    int64_t step = (rows + affordable - 1) / affordable;
    for (int64_t row = step > 1 ? random.between(0, step - 1) : 0; row < rows; row += step)
      judgeRow(getRow(row));
    if (step > 1)
      judgeRow(getRow(rows - 1));
    return rule.holds() ? "" : rule.describe() + "; worst row " + printRow(worstRow);
  }

private:
  static constexpr Dim kRowDims[] = {Dim::b, Dim::hkv, Dim::g, Dim::m};

  int64_t getNumRows() const {
    int64_t rows = 1;
    for (Dim dim : kRowDims)
      rows *= problem.getExtent(dim);
    return rows;
  }

  PerDim getRow(int64_t number) const {
    PerDim row = {};
    for (Dim dim : {Dim::m, Dim::g, Dim::hkv, Dim::b}) {
      at(row, dim) = number % problem.getExtent(dim);
      number /= problem.getExtent(dim);
    }
    return row;
  }

  void judgeRow(const PerDim &row) {
    AttentionRow actual;
    PerDim index = row;
    for (int64_t d = 0; d < problem.getExtent(Dim::dv); ++d) {
      at(index, Dim::dv) = d;
      actual.output.push_back(results[0].get(index));
    }
    if (problem.lse)
      actual.lse = results[1].get(row);
    AttentionRow reference = computeReferenceRow(problem, inputs, row);
    AttentionRow naive = computeNaiveRow(problem, inputs, row);
    RowMagnitude magnitude = computeRowMagnitude(problem, inputs, row);
    magnitude.lse = queryRoundoff * magnitude.score;
    rule.add(actual, reference, naive, magnitude, problem.lse.has_value());

    double error = 0;
    auto compare = [&](double value, double expected) {
      if (value != expected)
        error = std::max(error, std::isfinite(value - expected) ? std::fabs(value - expected) : kInfinity);
    };
    for (size_t d = 0; d < actual.output.size(); ++d)
      compare(actual.output[d], reference.output[d]);
    if (problem.lse)
      compare(actual.lse, reference.lse);
    if (error > worstError) {
      worstError = error;
      worstRow = row;
    }
  }

  AttentionProblem problem; // with the type of weights as that of values, which are read as `inputs` says
  AttentionInputs inputs;
  const std::vector<GuardedTensor> &results;
  ErrorRule rule;
  double queryRoundoff;
  double worstError = 0;
  PerDim worstRow = {};
};

/// Whether two sets of results have the same bits; `batchEntry` of `left` and entry 0 of `right`, or, if it is
/// negative, all of both.
bool haveSameBits(const std::vector<GuardedTensor> &left, const std::vector<GuardedTensor> &right, int64_t batchEntry) {
  bool areSame = true;
  for (size_t i = 0; i < right.size(); ++i)
    right[i].forEach([&](const PerDim &index) {
      PerDim leftIndex = index;
      if (batchEntry >= 0)
        at(leftIndex, Dim::b) = batchEntry;
      areSame &= left[i].getBits(leftIndex) == right[i].getBits(index);
    });
  return areSame;
}

} // namespace

AttentionInputs FuzzCase::getInputs() const {
  AttentionInputs inputs;
  auto getOptional = [&](const char *name) -> std::optional<TensorView> {
    const GuardedTensor *tensor = find(*this, name);
    return tensor ? std::optional<TensorView>(tensor->view()) : std::nullopt;
  };
  inputs.query = *getOptional("query");
  inputs.key = *getOptional("key");
  inputs.value = *getOptional("value");
  inputs.bias = getOptional("bias");
  inputs.mask = getOptional("mask");
  inputs.kvLen = getOptional("kv_len");
  inputs.offset = getOptional("offset");
  inputs.sink = getOptional("sink");
  return inputs;
}

FuzzCase makeRandomCase(const AttentionProblem &problem, Random &random, int64_t paddingStep) {
  FuzzCase fuzzCase;
  fuzzCase.problem = problem;
  fuzzCase.paddingStep = paddingStep;
  for (const NamedOperand &argument : getArguments(problem))
    fuzzCase.arguments.emplace_back(problem, *argument.operand,
                                    drawPadding(getShape(problem, *argument.operand), random, paddingStep));
  std::vector<NamedOperand> names = getArguments(problem);
  const GuardedTensor *kvLen = find(fuzzCase, "kv_len");
  for (bool isKvLen : {true, false})
    for (size_t i = 0; i < names.size(); ++i)
      if ((names[i].name == std::string("kv_len")) == isKvLen)
        Filler(fuzzCase, isKvLen ? nullptr : kvLen, random).fill(names[i].name, fuzzCase.arguments[i]);
  return fuzzCase;
}

std::vector<GuardedTensor> makeResults(const AttentionProblem &problem, Random &random, int64_t paddingStep) {
  std::vector<GuardedTensor> results;
  for (const NamedOperand &result : getResults(problem))
    results.emplace_back(problem, *result.operand,
                         drawPadding(getShape(problem, *result.operand), random, paddingStep));
  return results;
}

std::string checkCase(FuzzCase &fuzzCase, const Kernel &kernel, bool canChangeBatch, Random &random) {
  auto run = [&](int numThreads) {
    std::vector<GuardedTensor> results = makeResults(fuzzCase.problem, random, fuzzCase.paddingStep);
    std::vector<DLTensor> views = getDLTensors(results);
    kernel(getDLTensors(fuzzCase.arguments), views, numThreads);
    return results;
  };
  std::vector<GuardedTensor> results = run(1);
  for (const GuardedTensor &result : results)
    if (!result.isPaddingIntact())
      return "memory outside the elements of a result was written";
  std::string error = Judge(fuzzCase, results).judge(random);
  if (!error.empty())
    return error;
  for (int numThreads : {2, 5})
    if (!haveSameBits(results, run(numThreads), /*batchEntry=*/-1))
      return "other bits with " + std::to_string(numThreads) + " threads";

  int64_t batch = fuzzCase.problem.getExtent(Dim::b);
  if (!canChangeBatch || batch < 2)
    return "";
  int64_t entry = random.between(0, batch - 1);
  AttentionProblem alone = fuzzCase.problem;
  at(alone.extents, Dim::b) = 1;
  std::vector<GuardedTensor> aloneResults = makeResults(alone, random, fuzzCase.paddingStep);
  std::vector<DLTensor> views = getDLTensors(aloneResults), arguments;
  for (GuardedTensor &argument : fuzzCase.arguments)
    arguments.push_back(argument.getBatchEntry(entry));
  kernel(arguments, views, /*numThreads=*/2);
  if (!haveSameBits(results, aloneResults, entry))
    return "batch entry " + std::to_string(entry) + " has other bits alone";
  return "";
}

std::string compareKernels(FuzzCase &fuzzCase, const Kernel &left, const Kernel &right, Random &random) {
  auto run = [&](const Kernel &kernel) {
    std::vector<GuardedTensor> results = makeResults(fuzzCase.problem, random, fuzzCase.paddingStep);
    std::vector<DLTensor> views = getDLTensors(results);
    kernel(getDLTensors(fuzzCase.arguments), views, /*numThreads=*/2);
    return results;
  };
  std::vector<GuardedTensor> leftResults = run(left), rightResults = run(right);
  std::string difference;
  for (size_t i = 0; i < leftResults.size(); ++i)
    leftResults[i].forEach([&](const PerDim &index) {
      if (!difference.empty() || leftResults[i].getBits(index) == rightResults[i].getBits(index))
        return;
      std::ostringstream text;
      text << std::setprecision(9) << "other bits: result " << i << ", " << printRow(index)
           << " dv=" << at(index, Dim::dv) << " is " << rightResults[i].get(index) << ", not "
           << leftResults[i].get(index);
      difference = text.str();
    });
  return difference;
}

} // namespace gqa
