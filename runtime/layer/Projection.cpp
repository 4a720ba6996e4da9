#include "runtime/layer/Projection.h"

#include "runtime/cache/NarrowFloat.h"
#include "runtime/layer/OneDnn.h"

#include <stdexcept>

namespace gqa::layer {

namespace {

/// A matrix [rows, columns] without data.
class MatrixShape {
public:
  MatrixShape(const OneDnn &dnnl, int64_t rows, int64_t columns, dnnl_data_type_t type, bool isTransposed = false)
      : dnnl(dnnl) {
    dnnl_dims_t extents = {rows, columns}, strides = {columns, 1};
    if (isTransposed) {
      strides[0] = 1;
      strides[1] = rows;
    }
#if DNNL_VERSION_MAJOR >= 3
    checkOneDnn(dnnl.memory_desc_create_with_strides(&desc, 2, extents, type, strides));
#else
    checkOneDnn(dnnl.memory_desc_init_by_strides(&desc, 2, extents, type, strides));
#endif
  }
  ~MatrixShape() {
#if DNNL_VERSION_MAJOR >= 3
    dnnl.memory_desc_destroy(desc);
#endif
  }
  MatrixShape(const MatrixShape &) = delete;

#if DNNL_VERSION_MAJOR >= 3
  const_dnnl_memory_desc_t get() const { return desc; }
#else
  const dnnl_memory_desc_t *get() const { return &desc; }
#endif

private:
  [[maybe_unused]] const OneDnn &dnnl; // version 2 has nothing to destroy
  dnnl_memory_desc_t desc;
};

/// oneDNN's handle on a matrix somewhere.
class Matrix {
public:
  Matrix(const OneDnn &dnnl, dnnl_engine_t engine, const MatrixShape &shape, const void *data) : dnnl(dnnl) {
    checkOneDnn(dnnl.memory_create(&memory, shape.get(), engine, const_cast<void *>(data)));
  }
  ~Matrix() { dnnl.memory_destroy(memory); }
  Matrix(const Matrix &) = delete;

  dnnl_memory_t get() const { return memory; }

private:
  const OneDnn &dnnl;
  dnnl_memory_t memory = nullptr;
};

/// The CPU, and the order of work on it: one for the process, as threads have nothing to do with it.
struct Processor {
  explicit Processor(const OneDnn &dnnl) {
    checkOneDnn(dnnl.engine_create(&engine, dnnl_cpu, 0));
    checkOneDnn(dnnl.stream_create(&stream, engine, dnnl_stream_default_flags));
  }
  static const Processor &get() {
    static const Processor processor(OneDnn::get());
    return processor;
  }

  dnnl_engine_t engine = nullptr;
  dnnl_stream_t stream = nullptr;
};

} // namespace

struct Projection::State {
  State(WeightMatrix weight, std::vector<float> bias) : weight(std::move(weight)), bias(std::move(bias)) {}
  ~State() { release(); }

  dnnl_data_type_t getType() const { return weight.type == WeightType::BF16 ? dnnl_bf16 : dnnl_f32; }

  MatrixShape describeInput(int64_t rows) const { return {dnnl, rows, weight.inputs, getType()}; }
  /// oneDNN sees W^T.
  MatrixShape describeWeight() const { return {dnnl, weight.inputs, weight.outputs, getType(), /*isTransposed=*/true}; }
  MatrixShape describeBias() const { return {dnnl, 1, weight.outputs, dnnl_f32}; }
  MatrixShape describeOutput(int64_t rows) const { return {dnnl, rows, weight.outputs, dnnl_f32}; }

  /// Makes `matmul` one for `rows` rows; whether this CPU has it.
  bool prepare(int64_t rows) {
    release();
    MatrixShape x = describeInput(rows), w = describeWeight(), b = describeBias(), y = describeOutput(rows);
    auto biasShape = bias.empty() ? nullptr : b.get();
    dnnl_primitive_desc_t desc = nullptr;
#if DNNL_VERSION_MAJOR >= 3
    dnnl_status_t status = dnnl.matmul_primitive_desc_create(&desc, processor.engine, x.get(), w.get(), biasShape,
                                                             y.get(), /*attr=*/nullptr);
#else
    dnnl_matmul_desc_t operation;
    checkOneDnn(dnnl.matmul_desc_init(&operation, x.get(), w.get(), biasShape, y.get()));
    dnnl_status_t status = dnnl.primitive_desc_create(&desc, &operation, /*attr=*/nullptr, processor.engine,
                                                      /*hint_forward_primitive_desc=*/nullptr);
#endif
    if (status == dnnl_unimplemented)
      return false;
    checkOneDnn(status);
    status = dnnl.primitive_create(&matmul, desc);
    dnnl.primitive_desc_destroy(desc);
    checkOneDnn(status);
    preparedRows = rows;
    return true;
  }

  void release() {
    if (matmul)
      dnnl.primitive_destroy(matmul);
    matmul = nullptr;
    preparedRows = -1;
  }

  void widen() {
    std::vector<char> wide(static_cast<size_t>(weight.outputs * weight.inputs) * sizeof(float));
    for (int64_t i = 0; i < weight.outputs * weight.inputs; ++i)
      reinterpret_cast<float *>(wide.data())[i] = weight.get(i);
    weight.bytes = std::move(wide);
    weight.type = WeightType::F32;
  }

  /// x in the weights' type.
  const void *convert(const float *x, int64_t count) {
    if (weight.type == WeightType::F32)
      return x;
    rounded.resize(static_cast<size_t>(count));
#pragma omp parallel for if (count > 65536)
    for (int64_t i = 0; i < count; ++i)
      rounded[static_cast<size_t>(i)] = cache::toBFloat(x[i]);
    return rounded.data();
  }

  void apply(const float *x, int64_t rows, float *y) {
    if (rows != preparedRows && !prepare(rows))
      throw std::runtime_error("oneDNN has no product of " + std::to_string(rows) + " rows");
    auto wrap = [&](const MatrixShape &shape, const void *data) { return Matrix(dnnl, processor.engine, shape, data); };
    Matrix input = wrap(describeInput(rows), convert(x, rows * weight.inputs));
    Matrix weights = wrap(describeWeight(), weight.bytes.data());
    Matrix biasRow = wrap(describeBias(), bias.data());
    Matrix output = wrap(describeOutput(rows), y);
    dnnl_exec_arg_t arguments[] = {{DNNL_ARG_SRC, input.get()},
                                   {DNNL_ARG_WEIGHTS, weights.get()},
                                   {DNNL_ARG_DST, output.get()},
                                   {DNNL_ARG_BIAS, biasRow.get()}};
    checkOneDnn(dnnl.primitive_execute(matmul, processor.stream, bias.empty() ? 3 : 4, arguments));
    checkOneDnn(dnnl.stream_wait(processor.stream));
  }

  const OneDnn &dnnl = OneDnn::get();
  const Processor &processor = Processor::get();
  WeightMatrix weight;
  std::vector<float> bias;
  std::vector<uint16_t> rounded;     // bf16
  dnnl_primitive_t matmul = nullptr; // for preparedRows rows: a step of decoding is like the one before
  int64_t preparedRows = -1;
};

Projection::Projection(WeightMatrix weight, std::vector<float> bias)
    : state(std::make_unique<State>(std::move(weight), std::move(bias))) {
  if (state->prepare(/*rows=*/1))
    return;
  state->widen();
  if (!state->prepare(/*rows=*/1))
    throw std::runtime_error("oneDNN has no matrix product for this CPU");
}

Projection::~Projection() = default;
Projection::Projection(Projection &&) noexcept = default;

void Projection::apply(const float *x, int64_t rows, float *y) {
  if (rows > 0)
    state->apply(x, rows, y);
}

} // namespace gqa::layer
