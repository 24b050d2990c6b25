// SPDX-License-Identifier: GPL-2.0
//
// Result<T>: a value or an Errno, never both, and never silently dropped.
//
// Errors are positive errno numbers inside the core; only the thunks that face C turn them into
// negative ints. TRY() is the one control-flow macro: it yields the value or returns the error.
#pragma once

#include <new>
#include <type_traits>

#include <blksnap/base/types.hpp>

namespace blksnap
{

// The errno numbers that the core itself gives. They are ABI of Linux (asm-generic), spelled
// here because the core includes no kernel header; src/kernel asserts that they agree.
enum class [[nodiscard]] Errno : int{
	None = 0,    Perm = 1,	     NoEnt = 2,	   Srch = 3,	 Intr = 4,	Io = 5,
	NxIo = 6,    Again = 11,     NoMem = 12,   Fault = 14,	 Busy = 16,	Exist = 17,
	NoDev = 19,  Inval = 22,     NoTty = 25,   FBig = 27,	 NoSpc = 28,	Range = 34,
	NoData = 61, TimedOut = 110, NotSupp = 95, NoBufs = 105, Already = 114,
};

constexpr int to_int(Errno e)
{
	return static_cast<int>(e);
}

// From the 0/-errno of a port function.
constexpr Errno from_port(int negative)
{
	return static_cast<Errno>(-negative);
}

template <class T = void> class [[nodiscard]] Result
{
public:
	Result(T &&value) : error_(Errno::None) { new (&storage_.value) T(std::move(value)); }
	Result(const T &value) requires std::is_copy_constructible_v<T> : error_(Errno::None)
	{
		new (&storage_.value) T(value);
	}
	Result(Errno error) : error_(error) { ASSERT(error != Errno::None); }
	Result(Result &&other) : error_(other.error_)
	{
		if (ok())
			new (&storage_.value) T(std::move(other.storage_.value));
	}
	Result(const Result &) = delete;
	Result &operator=(const Result &) = delete;
	~Result()
	{
		if (ok())
			storage_.value.~T();
	}

	bool ok() const { return error_ == Errno::None; }
	Errno error() const { return error_; }
	T &value()
	{
		ASSERT(ok());
		return storage_.value;
	}
	T &&release_value()
	{
		ASSERT(ok());
		return std::move(storage_.value);
	}

private:
	union Storage {
		Storage() {}
		~Storage() {}
		T value;
	} storage_;
	Errno error_;
};

template <> class [[nodiscard]] Result<void>
{
public:
	Result() = default;
	Result(Errno error) : error_(error) {}

	bool ok() const { return error_ == Errno::None; }
	Errno error() const { return error_; }
	void release_value() {}

private:
	Errno error_ = Errno::None;
};

// The result of a port function that gives 0 or -errno.
inline Result<void> port_result(int negative)
{
	return negative < 0 ? Result<void>(from_port(negative)) : Result<void>();
}

} // namespace blksnap

#define TRY(expression)                                                                            \
	({                                                                                         \
		auto try_result_ = (expression);                                                   \
		if (!try_result_.ok())                                                             \
			return try_result_.error();                                                \
		try_result_.release_value();                                                       \
	})
