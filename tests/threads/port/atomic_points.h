/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Lets other threads in at ordered atomic operations of the core, now and then. Included before everything
 * else when the core is compiled for threads (-include).
 *
 * ThreadSanitizer does not know fences. This one it does not even see, so it hides no race: what the core
 * orders by a fence it must also hand over by atomics.
 *
 * A function-like macro is not expanded again inside its own expansion, so the builtin is called.
 */
#pragma once

extern "C" void threads_atomic_point(int order) noexcept;

#define __atomic_load_n(object, order) (threads_atomic_point(order), __atomic_load_n(object, order))
#define __atomic_store_n(object, value, order)                                                     \
	(threads_atomic_point(order), __atomic_store_n(object, value, order))
#define __atomic_exchange_n(object, value, order)                                                  \
	(threads_atomic_point(order), __atomic_exchange_n(object, value, order))
#define __atomic_fetch_add(object, value, order)                                                   \
	(threads_atomic_point(order), __atomic_fetch_add(object, value, order))
#define __atomic_fetch_sub(object, value, order)                                                   \
	(threads_atomic_point(order), __atomic_fetch_sub(object, value, order))
#define __atomic_thread_fence(order) __asm__ volatile("mfence" ::: "memory")
