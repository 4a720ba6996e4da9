// Every allocation of a call fails once: those of compiled code, which the context's callbacks serve, and those of the
// runtime, which operator new serves. Each time the call says so, nothing leaks, and the next call works.

// REQUIRES: compiler
// UNSUPPORTED: asan, tsan
// RUN: gqa-compile %s -o %t.so
// RUN: gqa-compile %s -o %t.unfused.so --unfused
// RUN: %cxx -std=c++17 -Wall -Wextra -Werror -O1 -I %source_root %S/Inputs/out-of-memory.cpp -o %t.program \
// RUN:   -L %binary_root/lib -lgqa -Wl,-rpath,%binary_root/lib
// RUN: %t.program %t.so decode | FileCheck %s
// RUN: %t.program %t.so copies | FileCheck %s
// RUN: %t.program %t.unfused.so decode | FileCheck %s

// The address space ends before the inputs fit, as under `ulimit -v`.
// RUN: not %python -c "import resource, subprocess, sys; resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30)); sys.exit(subprocess.call(sys.argv[1:]))" \
// RUN:   gqa-run %t.so --function decode --input 2x3x1x16xf32 --input 2x9000000x16xf32 --input 2x9000000x16xf32 2>&1 \
// RUN: | FileCheck %s --check-prefix=LIMIT
// LIMIT: gqa-run: error: {{.*}}out of memory

// An input that no machine holds.
// RUN: not gqa-run %t.so --function decode --input 2x3x999999999999x16xf32 2>&1 | FileCheck %s --check-prefix=HUGE
// HUGE: gqa-run: error: {{.*}}out of memory: f32[2, 3, 999999999999, 16] takes 383999999999616 bytes

// CHECK: 1 thread: each of {{[1-9][0-9]*}} allocations failed once, {{[1-9][0-9]*}} of them in compiled code
// CHECK: 2 threads: each of {{[1-9][0-9]*}} allocations failed once, {{[1-9][0-9]*}} of them in compiled code

// Partial results of ranges of keys live in memory while they are merged.
func.func @decode(%q: tensor<2x3x?x16xf32>, %k: tensor<2x?x16xf32>, %v: tensor<2x?x16xf32>) -> tensor<2x3x?x16xf32> {
  %c2 = arith.constant 2 : index
  %m = tensor.dim %q, %c2 : tensor<2x3x?x16xf32>
  %init = tensor.empty(%m) : tensor<2x3x?x16xf32>
  %o = gqa.attention scale 0.25 causal align bottom_right
    query(%q[hkv, g, m, dqk] : tensor<2x3x?x16xf32>)
    key(%k[hkv, n, dqk] : tensor<2x?x16xf32>) value(%v[hkv, n, dv] : tensor<2x?x16xf32>)
    outs(%init[hkv, g, m, dv] : tensor<2x3x?x16xf32>)
  return %o : tensor<2x3x?x16xf32>
}

// Keys in another order: a gather that needs a buffer of its own, then attention, then a sum with what was there.
func.func @copies(%q: tensor<2x3x?x16xf32>, %k: tensor<2x?x16xf32>, %v: tensor<2x?x16xf32>) -> tensor<2x3x?x16xf32> {
  %c2 = arith.constant 2 : index
  %heads = arith.constant dense<[[1], [0]]> : tensor<2x1xindex>
  %gk = tensor.gather %k[%heads] gather_dims([0]) : (tensor<2x?x16xf32>, tensor<2x1xindex>) -> tensor<2x?x16xf32>
  %gv = tensor.gather %v[%heads] gather_dims([0]) : (tensor<2x?x16xf32>, tensor<2x1xindex>) -> tensor<2x?x16xf32>
  %first = func.call @decode(%q, %k, %v)
      : (tensor<2x3x?x16xf32>, tensor<2x?x16xf32>, tensor<2x?x16xf32>) -> tensor<2x3x?x16xf32>
  %second = func.call @decode(%first, %gk, %gv)
      : (tensor<2x3x?x16xf32>, tensor<2x?x16xf32>, tensor<2x?x16xf32>) -> tensor<2x3x?x16xf32>
  %m = tensor.dim %q, %c2 : tensor<2x3x?x16xf32>
  %init = tensor.empty(%m) : tensor<2x3x?x16xf32>
  %sum = linalg.add ins(%first, %second : tensor<2x3x?x16xf32>, tensor<2x3x?x16xf32>)
                    outs(%init : tensor<2x3x?x16xf32>) -> tensor<2x3x?x16xf32>
  return %sum : tensor<2x3x?x16xf32>
}
