/* Stacks that take turns: as little as the emulator needs, since libc's ucontext makes a system call per switch. C99,
 * x86-64 and AArch64. */
#ifndef GQA_RUNTIME_EMULATOR_FIBER_H
#define GQA_RUNTIME_EMULATOR_FIBER_H

#include <stddef.h>

/* Saves the running stack in *from and goes on with `to`. */
void gqa_fiber_switch(void **from, void *to);

/* A stack, in `bytes` bytes of memory, that calls entry(argument), which must not return, when it is switched to. */
void *gqa_fiber_make(void *memory, size_t bytes, void (*entry)(void *argument), void *argument);

#endif /* GQA_RUNTIME_EMULATOR_FIBER_H */
