// Options of AddressSanitizer that every program of an asan build carries, for LLVM and MLIR are built without it:
// containers that they resize look overflowed to our side, arenas that we poisoned they do not unpoison, and they free
// with another operator delete than they allocate with. ASAN_OPTIONS overrides them.
__attribute__((visibility("default"), no_sanitize("address"))) const char *__asan_default_options(void) {
  return "detect_container_overflow=0:allow_user_poisoning=0:new_delete_type_mismatch=0:detect_leaks=1";
}

// OpenMP's runtime keeps what describes its threads until the process ends, out of LeakSanitizer's sight.
__attribute__((visibility("default"), no_sanitize("address"))) const char *__lsan_default_suppressions(void) {
  return "leak:libomp.so\n";
}
