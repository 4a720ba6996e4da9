#include "test/unit/fuzz/PlainKernel.h"

#include "tools/AttentionModule.h"

#include <cmath>
#include <limits>

namespace gqa {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// One call. Query heads are numbered h = hkv * G + g.
class PlainCall {
public:
  PlainCall(const AttentionProblem &problem, Bug bug, const std::vector<DLTensor> &arguments,
            std::vector<DLTensor> &results, int numThreads)
      : problem(problem), bug(bug), query(arguments[0]), key(arguments[1]), value(arguments[2]), results(results),
        batch(query.shape[0]), rows(query.shape[3]), keys(key.shape[2]) {
    std::vector<NamedOperand> names = getArguments(problem);
    for (size_t i = 3; i < names.size(); ++i) {
      kvLen = names[i].name == std::string("kv_len") ? &arguments[i] : kvLen;
      sink = names[i].name == std::string("sink") ? &arguments[i] : sink;
    }
    // Blocks of keys; the sums of a block are formed apart.
    block = bug == Bug::threadsChangeSum ? 3 + numThreads : bug == Bug::batchChangesSum ? 3 + batch : 4;
  }

  void run() {
    for (int64_t b = 0; b < batch; ++b)
      for (int64_t hkv = 0; hkv < query.shape[1]; ++hkv)
        for (int64_t g = 0; g < query.shape[2]; ++g)
          for (int64_t m = 0; m < rows; ++m)
            computeRow(b, hkv, g, m);
    if (bug == Bug::writesBehindResult)
      element(results[0], {batch - 1, query.shape[1] - 1, query.shape[2] - 1, rows - 1, 0})[-results[0].shape[4]] = 0;
  }

private:
  static float *element(const DLTensor &tensor, const std::vector<int64_t> &index) {
    int64_t offset = static_cast<int64_t>(tensor.byte_offset) / 4;
    for (size_t i = 0; i < index.size(); ++i)
      offset += index[i] * tensor.strides[i];
    return static_cast<float *>(tensor.data) + offset;
  }

  int64_t getKeyHead(int64_t hkv, int64_t g) const {
    int64_t head = hkv * query.shape[2] + g;
    return bug == Bug::headModulo ? head % query.shape[1] : hkv;
  }

  int64_t getKvLen(int64_t b) const { return kvLen ? *reinterpret_cast<const int32_t *>(element(*kvLen, {b})) : keys; }

  bool isVisible(int64_t b, int64_t m, int64_t n) const {
    if (n >= getKvLen(b) && bug != Bug::ignoredKvLen)
      return false;
    if (bug == Bug::lostLastKey && n == keys - 1 && keys % 2)
      return false;
    bool isBottomRight = (problem.alignment == Alignment::bottomRight) != (bug == Bug::wrongAlignment);
    int64_t position = m + (isBottomRight ? getKvLen(b) - rows : 0);
    if (problem.windowLeft && n < position - *problem.windowLeft)
      return false;
    return !problem.causal || (bug == Bug::offByOneCausal ? n < position : n <= position);
  }

  float getScore(int64_t b, int64_t hkv, int64_t g, int64_t m, int64_t n) const {
    const float *q = element(query, {b, hkv, g, m, 0}), *k = element(key, {b, getKeyHead(hkv, g), n, 0});
    float score = 0;
    for (int64_t d = 0; d < query.shape[4]; ++d)
      score += q[d] * k[d];
    return bug == Bug::missingScale ? score : score * problem.scale;
  }

  void computeRow(int64_t b, int64_t hkv, int64_t g, int64_t m) {
    const int64_t dv = value.shape[3];
    std::vector<float> acc(static_cast<size_t>(dv), 0);
    float maximum = -kInfinity, sum = 0;
    for (int64_t begin = 0; begin < keys; begin += block) {
      int64_t end = std::min(begin + block, keys);
      float newMaximum = maximum;
      for (int64_t n = begin; n < end; ++n)
        if (isVisible(b, m, n))
          newMaximum = std::max(newMaximum, getScore(b, hkv, g, m, n));
      if (newMaximum == -kInfinity)
        continue;
      float rescale = std::exp(maximum - newMaximum);
      sum *= rescale;
      for (float &a : acc)
        a *= bug == Bug::missingRescale && maximum != -kInfinity ? 1 : rescale;
      maximum = newMaximum;
      addBlock(b, hkv, g, m, begin, end, maximum, sum, acc);
    }
    finish(b, hkv, g, m, maximum, sum, acc);
  }

  void addBlock(int64_t b, int64_t hkv, int64_t g, int64_t m, int64_t begin, int64_t end, float maximum, float &sum,
                std::vector<float> &acc) {
    float blockSum = 0;
    std::vector<float> blockAcc(acc.size(), 0);
    for (int64_t n = begin; n < end; ++n) {
      if (!isVisible(b, m, n))
        continue;
      float p = std::exp(getScore(b, hkv, g, m, n) - maximum);
      blockSum += p;
      const float *v = element(value, {b, getKeyHead(hkv, g), n, 0});
      for (size_t d = 0; d < acc.size(); ++d)
        blockAcc[d] += p * v[d];
    }
    sum += blockSum;
    for (size_t d = 0; d < acc.size(); ++d)
      acc[d] += blockAcc[d];
  }

  void finish(int64_t b, int64_t hkv, int64_t g, int64_t m, float maximum, float sum, std::vector<float> &acc) {
    float denominator = sum;
    if (sink)
      denominator += std::exp(*element(*sink, {hkv, g}) - maximum);
    bool isEmpty = maximum == -kInfinity && bug != Bug::emptyRowNaN;
    float *output = element(results[0], {b, hkv, g, m, 0});
    for (size_t d = 0; d < acc.size(); ++d)
      output[d] = isEmpty ? 0 : acc[d] / denominator;
    if (problem.lse)
      *element(results[1], {b, hkv, g, m}) =
          isEmpty ? -kInfinity : maximum + std::log(bug == Bug::sinkInLse ? denominator : sum);
  }

  const AttentionProblem &problem;
  Bug bug;
  const DLTensor &query, &key, &value;
  std::vector<DLTensor> &results;
  const DLTensor *kvLen = nullptr, *sink = nullptr;
  int64_t batch, rows, keys, block;
};

} // namespace

Kernel makePlainKernel(const AttentionProblem &problem, Bug bug) {
  return [problem, bug](const std::vector<DLTensor> &arguments, std::vector<DLTensor> &results, int numThreads) {
    PlainCall(problem, bug, arguments, results, numThreads).run();
  };
}

} // namespace gqa
