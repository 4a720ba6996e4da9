#ifndef GQA_TEST_UNIT_TOOLS_THROWSMESSAGE_H
#define GQA_TEST_UNIT_TOOLS_THROWSMESSAGE_H

#include <exception>
#include <string>

/// The message of the exception that `function` throws; "" if it throws none.
template <typename Function> std::string messageOf(Function function) {
  try {
    function();
  } catch (const std::exception &error) {
    return error.what();
  }
  return "";
}

#endif // GQA_TEST_UNIT_TOOLS_THROWSMESSAGE_H
