/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Makes each ordered atomic operation of the core a scheduling point. Included before everything
 * else when the core is compiled for the simulator (-include): the gate, reference and publication
 * protocols live between atomics, where no port call lets another task in.
 *
 * A function-like macro is not expanded again inside its own expansion, so the builtin is called.
 */
#pragma once

extern "C" void sim_atomic_point(int order) noexcept;

#define __atomic_load_n(object, order) (sim_atomic_point(order), __atomic_load_n(object, order))
#define __atomic_store_n(object, value, order)                                                     \
	(sim_atomic_point(order), __atomic_store_n(object, value, order))
#define __atomic_exchange_n(object, value, order)                                                  \
	(sim_atomic_point(order), __atomic_exchange_n(object, value, order))
#define __atomic_fetch_add(object, value, order)                                                   \
	(sim_atomic_point(order), __atomic_fetch_add(object, value, order))
#define __atomic_fetch_sub(object, value, order)                                                   \
	(sim_atomic_point(order), __atomic_fetch_sub(object, value, order))
#define __atomic_thread_fence(order) (sim_atomic_point(order), __atomic_thread_fence(order))
