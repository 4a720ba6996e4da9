#include "runtime/emulator/Fiber.h"

#include <stdint.h>
#include <string.h>

/* What a calling convention lets a function change needs no saving: the switch is a call. */
#if defined(__x86_64__)

__asm__(".text\n"
        ".globl gqa_fiber_switch\n"
        ".hidden gqa_fiber_switch\n"
        ".type gqa_fiber_switch, @function\n"
        "gqa_fiber_switch:\n"
        "  pushq %rbp\n  pushq %rbx\n  pushq %r12\n  pushq %r13\n  pushq %r14\n  pushq %r15\n"
        "  movq %rsp, (%rdi)\n"
        "  movq %rsi, %rsp\n"
        "  popq %r15\n  popq %r14\n  popq %r13\n  popq %r12\n  popq %rbx\n  popq %rbp\n"
        "  ret\n"
        ".size gqa_fiber_switch, .-gqa_fiber_switch\n"
        ".globl gqa_fiber_start\n"
        ".hidden gqa_fiber_start\n"
        ".type gqa_fiber_start, @function\n"
        "gqa_fiber_start:\n"
        "  movq %r12, %rdi\n"
        "  callq *%r13\n"
        "  ud2\n"
        ".size gqa_fiber_start, .-gqa_fiber_start\n");

/* Words from the stack's pointer on: r15, r14, r13 (entry), r12 (argument), rbx, rbp, return address. */
enum { kWords = 8, kEntry = 2, kArgument = 3, kReturn = 6 };

#elif defined(__aarch64__)

__asm__(".text\n"
        ".globl gqa_fiber_switch\n"
        ".hidden gqa_fiber_switch\n"
        ".type gqa_fiber_switch, %function\n"
        "gqa_fiber_switch:\n"
        "  sub sp, sp, #160\n"
        "  stp x19, x20, [sp]\n  stp x21, x22, [sp, #16]\n  stp x23, x24, [sp, #32]\n  stp x25, x26, [sp, #48]\n"
        "  stp x27, x28, [sp, #64]\n  stp x29, x30, [sp, #80]\n  stp d8, d9, [sp, #96]\n  stp d10, d11, [sp, #112]\n"
        "  stp d12, d13, [sp, #128]\n  stp d14, d15, [sp, #144]\n"
        "  mov x9, sp\n  str x9, [x0]\n  mov sp, x1\n"
        "  ldp x19, x20, [sp]\n  ldp x21, x22, [sp, #16]\n  ldp x23, x24, [sp, #32]\n  ldp x25, x26, [sp, #48]\n"
        "  ldp x27, x28, [sp, #64]\n  ldp x29, x30, [sp, #80]\n  ldp d8, d9, [sp, #96]\n  ldp d10, d11, [sp, #112]\n"
        "  ldp d12, d13, [sp, #128]\n  ldp d14, d15, [sp, #144]\n"
        "  add sp, sp, #160\n"
        "  ret\n"
        ".size gqa_fiber_switch, .-gqa_fiber_switch\n"
        ".globl gqa_fiber_start\n"
        ".hidden gqa_fiber_start\n"
        ".type gqa_fiber_start, %function\n"
        "gqa_fiber_start:\n"
        "  mov x0, x19\n"
        "  blr x20\n"
        "  brk #0\n"
        ".size gqa_fiber_start, .-gqa_fiber_start\n");

/* Words from the stack's pointer on: x19 (argument), x20 (entry), ..., x30 at 11. */
enum { kWords = 20, kEntry = 1, kArgument = 0, kReturn = 11 };

#else
#error "the emulator knows x86-64 and AArch64"
#endif

extern void gqa_fiber_start(void) __attribute__((visibility("hidden")));

void *gqa_fiber_make(void *memory, size_t bytes, void (*entry)(void *argument), void *argument) {
  uintptr_t top = ((uintptr_t)memory + bytes) & ~(uintptr_t)15;
  uintptr_t *stack = (uintptr_t *)top - kWords;
#if defined(__x86_64__)
  --stack; /* after the return the stack is a multiple of 16 */
#endif
  memset(stack, 0, kWords * sizeof *stack);
  stack[kEntry] = (uintptr_t)entry;
  stack[kArgument] = (uintptr_t)argument;
  stack[kReturn] = (uintptr_t)gqa_fiber_start;
  return stack;
}
