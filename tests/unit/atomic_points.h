/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Lets a test come in before and after each atomic operation of the core. Included before everything
 * else when the core is compiled for unit tests (-include).
 *
 * A function-like macro is not expanded again inside its own expansion, so the builtin is called.
 */
#pragma once

extern "C" void unit_atomic_point(void) noexcept;

#define UNIT_ATOMIC_RESULT(operation)                                                              \
	({                                                                                         \
		unit_atomic_point();                                                               \
		auto atomic_result = operation;                                                    \
		unit_atomic_point();                                                               \
		atomic_result;                                                                     \
	})

#define __atomic_load_n(object, order) UNIT_ATOMIC_RESULT(__atomic_load_n(object, order))
#define __atomic_exchange_n(object, value, order)                                                  \
	UNIT_ATOMIC_RESULT(__atomic_exchange_n(object, value, order))
#define __atomic_fetch_add(object, value, order)                                                   \
	UNIT_ATOMIC_RESULT(__atomic_fetch_add(object, value, order))
#define __atomic_fetch_sub(object, value, order)                                                   \
	UNIT_ATOMIC_RESULT(__atomic_fetch_sub(object, value, order))
#define __atomic_compare_exchange_n(object, seen, value, weak, success, failure)                   \
	UNIT_ATOMIC_RESULT(__atomic_compare_exchange_n(object, seen, value, weak, success, failure))
#define __atomic_store_n(object, value, order)                                                     \
	(unit_atomic_point(), __atomic_store_n(object, value, order), unit_atomic_point())
