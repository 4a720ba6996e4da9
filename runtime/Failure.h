#ifndef GQA_RUNTIME_FAILURE_H
#define GQA_RUNTIME_FAILURE_H

#include "runtime/gqa.h"

#include <exception>
#include <string>
#include <utility>

namespace gqa {

/// What went wrong, on its way to the C interface.
struct Failure : std::exception {
  Failure(gqa_status status, std::string message) : status(status), message(std::move(message)) {}
  const char *what() const noexcept override { return message.c_str(); }

  gqa_status status;
  std::string message;
};

[[noreturn]] inline void fail(gqa_status status, std::string message) { throw Failure{status, std::move(message)}; }

} // namespace gqa

#endif // GQA_RUNTIME_FAILURE_H
