// SPDX-License-Identifier: GPL-2.0
//
// kselftest: a test program per area, in the way of the kernel's selftests.
//
//     #include "kselftest.hpp"
//
//     TEST(a_missing_device_is_refused)
//     {
//             Control control;
//             EXPECT_ERRNO(try_create(control, {kMissingDevice}), ENXIO);
//     }
//
// main() comes from runner.cpp. Each test runs in a process of its own, in the order of the file; it
// passes unless an expectation fails, an exception leaves it, it crashes, takes longer than its limit
// or leaves something behind. Output is TAP; the exit status is 0 passed, 1 failed, 4 skipped.
//
// EXPECT... notes a failure and goes on; REQUIRE... ends the test. Both tell file, line, what was
// expected and what was seen. Threads of a test may use EXPECT, not REQUIRE.
#pragma once

#include <sstream>
#include <string>
#include <type_traits>

namespace kselftest
{

struct Options {
	unsigned timeout_seconds = 60;
};

// Registers a test for main().
struct Registration {
	Registration(const char *name, void (*body)(), Options options = {});
};

// Thrown to end a test early.
struct Failed {
};
struct Skipped {
	std::string reason;
};

// Ends the test, which counts as skipped: what it needs is not on this machine.
[[noreturn]] inline void skip(std::string reason)
{
	throw Skipped{std::move(reason)};
}

// A remark in the output: printf without the end of line.
[[gnu::format(printf, 1, 2)]] void note(const char *format, ...);

void report_failure(const char *file, int line, const std::string &text);
std::string errno_text(int error);

template <class T> std::string show(const T &value)
{
	std::ostringstream text;
	if constexpr (std::is_same_v<T, bool>)
		text << (value ? "true" : "false");
	else if constexpr (std::is_enum_v<T> || (std::is_integral_v<T> && sizeof(T) == 1))
		text << static_cast<long>(value);
	else if constexpr (std::is_convertible_v<T, std::string>)
		text << '"' << value << '"';
	else if constexpr (requires { value.begin(); }) {
		text << "{";
		for (const auto &item : value)
			text << " " << show(item);
		text << " }";
	} else
		text << value;
	return text.str();
}

inline bool expect(bool good, const char *file, int line, const char *condition)
{
	if (!good)
		report_failure(file, line, std::string("not true: ") + condition);
	return good;
}

inline bool expect_errno(int seen, int expected, const char *file, int line, const char *what)
{
	if (seen != expected)
		report_failure(file, line,
			       std::string(what) + ": expected " + errno_text(expected) + ", got " +
				       errno_text(seen));
	return seen == expected;
}

// Numbers compare by value, whatever their signs and sizes are.
template <class A, class B> bool same(const A &seen, const B &expected)
{
	if constexpr (std::is_integral_v<A> && std::is_integral_v<B>)
		return (seen < 0) == (expected < 0) &&
		       static_cast<unsigned long long>(seen) ==
			       static_cast<unsigned long long>(expected);
	else
		return seen == expected;
}

template <class A, class B>
bool expect_equal(const A &seen, const B &expected, const char *file, int line, const char *what)
{
	if (same(seen, expected))
		return true;
	report_failure(file, line,
		       std::string(what) + ": expected " + show(expected) + ", got " + show(seen));
	return false;
}

inline void require(bool good)
{
	if (!good)
		throw Failed{};
}

} // namespace kselftest

// TEST(name) { ... } or, with options, TEST(name, .timeout_seconds = 300) { ... }
#define TEST(name, ...)                                                                            \
	static void test_##name();                                                                 \
	static const kselftest::Registration registration_of_##name(#name, test_##name,            \
								    {__VA_ARGS__});                \
	static void test_##name()

#define EXPECT(condition) kselftest::expect(bool(condition), __FILE__, __LINE__, #condition)
#define EXPECT_EQ(seen, expected) kselftest::expect_equal(seen, expected, __FILE__, __LINE__, #seen)
// Both are errnos, 0 is success.
#define EXPECT_ERRNO(seen, expected)                                                               \
	kselftest::expect_errno(seen, expected, __FILE__, __LINE__, #seen)
#define REQUIRE(condition) kselftest::require(EXPECT(condition))
#define REQUIRE_EQ(seen, expected) kselftest::require(EXPECT_EQ(seen, expected))
#define REQUIRE_ERRNO(seen, expected) kselftest::require(EXPECT_ERRNO(seen, expected))
