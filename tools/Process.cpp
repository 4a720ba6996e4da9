#include "tools/Process.h"

#include <cerrno>
#include <cstdio>
#include <memory>
#include <spawn.h>
#include <sys/wait.h>
#include <system_error>

extern char **environ;

namespace gqa {
namespace {

/// Streams go through unnamed temporary files, not pipes: nobody has to read while another writes.
using TemporaryFile = std::unique_ptr<std::FILE, int (*)(std::FILE *)>;

TemporaryFile openTemporary() {
  TemporaryFile file(std::tmpfile(), &std::fclose);
  if (!file)
    throw std::system_error(errno, std::generic_category(), "cannot make a temporary file");
  return file;
}

std::string readAll(std::FILE *file) {
  std::rewind(file);
  std::string text;
  char buffer[65536];
  while (size_t size = std::fread(buffer, 1, sizeof buffer, file))
    text.append(buffer, size);
  return text;
}

} // namespace

ProcessResult runProcess(const std::vector<std::string> &command, const std::string &input) {
  TemporaryFile files[3] = {openTemporary(), openTemporary(), openTemporary()};
  if (std::fwrite(input.data(), 1, input.size(), files[0].get()) != input.size() || std::fflush(files[0].get()))
    throw std::system_error(errno, std::generic_category(), "cannot write a temporary file");
  std::rewind(files[0].get());

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  for (int stream = 0; stream < 3; ++stream)
    posix_spawn_file_actions_adddup2(&actions, fileno(files[stream].get()), stream);
  std::vector<char *> arguments;
  for (const std::string &argument : command)
    arguments.push_back(const_cast<char *>(argument.c_str()));
  arguments.push_back(nullptr);
  pid_t child = 0;
  int error = posix_spawnp(&child, arguments[0], &actions, /*attrp=*/nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error)
    throw std::system_error(error, std::generic_category(), "cannot start '" + command[0] + "'");

  int status = 0;
  while (waitpid(child, &status, 0) < 0)
    if (errno != EINTR)
      throw std::system_error(errno, std::generic_category(), "cannot wait for '" + command[0] + "'");
  ProcessResult result;
  result.exitCode = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  result.output = readAll(files[1].get());
  result.errors = readAll(files[2].get());
  return result;
}

} // namespace gqa
