#include "tools/InputSpec.h"

#include "tools/Npy.h"

#include <random>
#include <stdexcept>

namespace gqa {

namespace {

/// `1x8x128xf32` or `f32`.
HostTensor makeZeros(const std::string &spec, const std::string &text) {
  std::vector<int64_t> shape;
  size_t begin = 0;
  for (size_t end; (end = text.find('x', begin)) != std::string::npos; begin = end + 1) {
    std::string extent = text.substr(begin, end - begin);
    if (extent.empty() || extent.size() > 18 || extent.find_first_not_of("0123456789") != std::string::npos)
      throw std::runtime_error("input '" + spec + "': '" + extent +
                               "' is no extent; expected SHAPExTYPE, for example " + "2x128xf32=random, or @FILE.npy");
    shape.push_back(std::stoll(extent));
  }
  try {
    return HostTensor(text.substr(begin), shape);
  } catch (const std::runtime_error &error) {
    throw std::runtime_error("input '" + spec + "': " + error.what());
  }
}

void fillRandom(HostTensor &tensor, bool isNormal, uint64_t seed) {
  std::mt19937_64 generator(seed);
  std::normal_distribution<float> normal;
  std::uniform_real_distribution<float> uniform(-1, 1);
  bool isInteger = isIntegerType(tensor.getType());
  for (int64_t i = 0, count = tensor.getNumElements(); i < count; ++i)
    tensor.set(i, isInteger ? static_cast<double>(generator() >> 63)
                            : static_cast<double>(isNormal ? normal(generator) : uniform(generator)));
}

void fillConstant(HostTensor &tensor, const std::string &spec, const std::string &text) {
  double value = 0;
  size_t used = 0;
  try {
    value = std::stod(text, &used);
  } catch (const std::exception &) {
  }
  if (used == 0 || used != text.size())
    throw std::runtime_error("input '" + spec + "': '" + text + "' is no number, and neither 'random' nor 'uniform'");
  for (int64_t i = 0, count = tensor.getNumElements(); i < count; ++i)
    tensor.set(i, value);
}

} // namespace

HostTensor makeInput(const std::string &spec, uint64_t seed) {
  if (!spec.empty() && spec.front() == '@')
    return readNpy(spec.substr(1));
  size_t equals = spec.find('=');
  HostTensor tensor = makeZeros(spec, spec.substr(0, equals));
  if (equals == std::string::npos)
    return tensor;
  std::string fill = spec.substr(equals + 1);
  if (fill == "random" || fill == "uniform")
    fillRandom(tensor, fill == "random", seed);
  else
    fillConstant(tensor, spec, fill);
  return tensor;
}

} // namespace gqa
