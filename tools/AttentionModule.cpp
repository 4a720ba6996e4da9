#include "tools/AttentionModule.h"

#include <iomanip>
#include <sstream>

namespace gqa {
namespace {

/// A float that parses back to the same value; MLIR wants a decimal point.
std::string printFloat(float value) {
  std::ostringstream text;
  text << std::scientific << std::setprecision(8) << value;
  return text.str();
}

std::string printDims(const std::vector<Dim> &dims) {
  std::string text = "[";
  for (Dim dim : dims)
    text += (text.size() > 1 ? ", " : "") + std::string(getName(dim));
  return text + "]";
}

/// The function's body, line by line.
class Printer {
public:
  Printer(const AttentionProblem &problem, const std::set<Dim> &dynamicDims, const std::string &schedule)
      : problem(problem), dynamicDims(dynamicDims), schedule(schedule) {}

  std::string print(const std::string &name) {
    text << "func.func @" << name << "(";
    printList(getArguments(problem), [&](const NamedOperand &argument) {
      text << "%" << argument.name << ": " << printType(problem, *argument.operand, dynamicDims);
    });
    text << ") -> ";
    printResultTypes();
    text << " {\n";
    printDimensions();
    for (const NamedOperand &result : getResults(problem))
      printInit(result);
    printOp();
    text << "  return ";
    printList(getResults(problem), [&](const NamedOperand &result) { text << "%" << result.name; });
    text << " : ";
    printList(getResults(problem),
              [&](const NamedOperand &result) { text << printType(problem, *result.operand, dynamicDims); });
    text << "\n}\n";
    return text.str();
  }

private:
  template <typename Print> void printList(const std::vector<NamedOperand> &operands, Print print) {
    for (size_t i = 0; i < operands.size(); ++i) {
      text << (i ? ", " : "");
      print(operands[i]);
    }
  }

  void printResultTypes() {
    text << "(";
    printList(getResults(problem),
              [&](const NamedOperand &result) { text << printType(problem, *result.operand, dynamicDims); });
    text << ")";
  }

  /// The extents of the results' dynamic dimensions, which are all dimensions of the query.
  void printDimensions() {
    const std::vector<Dim> &dims = problem.query.dims;
    for (size_t i = 0; i < dims.size(); ++i)
      if (dynamicDims.count(dims[i]))
        text << "  %c" << i << " = arith.constant " << i << " : index\n"
             << "  %dim_" << getName(dims[i]) << " = tensor.dim %query, %c" << i << " : "
             << printType(problem, problem.query, dynamicDims) << "\n";
  }

  void printInit(const NamedOperand &result) {
    text << "  %" << result.name << "_init = tensor.empty(";
    const char *separator = "";
    for (Dim dim : result.operand->dims)
      if (dynamicDims.count(dim)) {
        text << separator << "%dim_" << getName(dim);
        separator = ", ";
      }
    text << ") : " << printType(problem, *result.operand, dynamicDims) << "\n";
  }

  void printOp() {
    text << "  ";
    printList(getResults(problem), [&](const NamedOperand &result) { text << "%" << result.name; });
    text << " = gqa.attention scale " << printFloat(problem.scale);
    if (problem.softcap)
      text << " softcap " << printFloat(*problem.softcap);
    if (problem.causal)
      text << " causal";
    if (problem.windowLeft || problem.windowRight) {
      text << " window(";
      if (problem.windowLeft)
        text << "left " << *problem.windowLeft << (problem.windowRight ? " " : "");
      if (problem.windowRight)
        text << "right " << *problem.windowRight;
      text << ")";
    }
    if (problem.alignment)
      text << " align " << (*problem.alignment == Alignment::topLeft ? "top_left" : "bottom_right");
    if (problem.ring)
      text << " ring(sinks " << problem.ring->sinks << " slots " << problem.ring->slots << ")";
    text << "\n";
    for (const NamedOperand &argument : getArguments(problem)) {
      text << "    " << argument.name << "(";
      printOperand(argument, "");
      text << ")\n";
    }
    text << "    outs(";
    printList(getResults(problem), [&](const NamedOperand &result) { printOperand(result, "_init"); });
    text << ")";
    if (!schedule.empty())
      text << " {gqa_gpu.schedule = " << schedule << "}";
    text << "\n";
  }

  void printOperand(const NamedOperand &named, const char *suffix) {
    text << "%" << named.name << suffix << printDims(named.operand->dims) << " : "
         << printType(problem, *named.operand, dynamicDims);
  }

  const AttentionProblem &problem;
  const std::set<Dim> &dynamicDims;
  const std::string &schedule;
  std::ostringstream text;
};

} // namespace

std::vector<NamedOperand> getArguments(const AttentionProblem &problem) {
  std::vector<NamedOperand> arguments = {{"query", &problem.query}, {"key", &problem.key}, {"value", &problem.value}};
  auto addOptional = [&](const char *name, const std::optional<Operand> &operand) {
    if (operand)
      arguments.push_back({name, &*operand});
  };
  addOptional("bias", problem.bias);
  addOptional("mask", problem.mask);
  addOptional("kv_len", problem.kvLen);
  addOptional("offset", problem.offset);
  addOptional("sink", problem.sink);
  addOptional("block_table", problem.blockTable);
  addOptional("key_scale", problem.keyScale);
  addOptional("value_scale", problem.valueScale);
  addOptional("length", problem.length);
  return arguments;
}

std::vector<NamedOperand> getResults(const AttentionProblem &problem) {
  std::vector<NamedOperand> results = {{"output", &problem.output}};
  if (problem.lse)
    results.push_back({"lse", &*problem.lse});
  return results;
}

std::string printType(const AttentionProblem &problem, const Operand &operand, const std::set<Dim> &dynamicDims) {
  std::string text = "tensor<";
  for (Dim dim : operand.dims)
    text += (dynamicDims.count(dim) ? "?" : std::to_string(problem.getExtent(dim))) + "x";
  return text + getName(operand.type) + ">";
}

std::string printAttentionFunction(const AttentionProblem &problem, const std::string &name,
                                   const std::set<Dim> &dynamicDims, const std::string &schedule) {
  return Printer(problem, dynamicDims, schedule).print(name);
}

} // namespace gqa
