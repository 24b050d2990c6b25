// SPDX-License-Identifier: GPL-2.0
//
// Ownership: Own<T> has one owner, Ref<T> counts; try_new<T>() is the only way to an object.
//
// There is no operator new in the module: a plain `new` does not link. Every allocation says
// in which context it is made (Gfp) and can fail.
#pragma once

#include <new>
#include <type_traits>

#include <blksnap/base/atomic.hpp>
#include <blksnap/base/result.hpp>
#include <blksnap/port/memory.h>

namespace blksnap
{

enum class Gfp : unsigned {
	Kernel = SHIM_GFP_KERNEL, // may sleep and start I/O: control path only
	NoIo = SHIM_GFP_NOIO,	  // may sleep, starts no I/O: workers
	NoWait = SHIM_GFP_NOWAIT, // never sleeps, may fail at any time: submitters, completions
};

template <class T> void destroy(T *object)
{
	object->~T();
	shim_memory_free(object);
}

template <class T> class [[nodiscard]] Own
{
public:
	Own() = default;
	explicit Own(T *object) : object_(object) {}
	Own(Own &&other) : object_(other.release()) {}
	template <class U>
	requires std::is_convertible_v<U *, T *> Own(Own<U> &&other) : object_(other.release()) {}
	Own &operator=(Own &&other)
	{
		reset(other.release());
		return *this;
	}
	Own(const Own &) = delete;
	Own &operator=(const Own &) = delete;
	~Own() { reset(); }

	void reset(T *object = nullptr)
	{
		T *old = std::exchange(object_, object);
		if (old)
			destroy(old);
	}
	T *release() { return std::exchange(object_, nullptr); }
	T *get() const { return object_; }
	T *operator->() const { return object_; }
	T &operator*() const { return *object_; }
	explicit operator bool() const { return object_ != nullptr; }

private:
	T *object_ = nullptr;
};

template <class T, class... Args> Result<Own<T>> try_new(Gfp gfp, Args &&...args)
{
	void *memory = shim_memory_alloc(sizeof(T), static_cast<unsigned>(gfp));
	if (!memory)
		return Errno::NoMem;
	return Own<T>(new (memory) T(std::forward<Args>(args)...));
}

// Base of objects with several owners. Born with one reference, which Ref::adopt() takes.
class RefCounted
{
public:
	RefCounted(const RefCounted &) = delete;
	RefCounted &operator=(const RefCounted &) = delete;

	void ref() { references_.fetch_add(1, Order::Relaxed); }
	bool unref() { return references_.fetch_sub(1, Order::AcqRel) == 1; }

protected:
	RefCounted() = default;
	~RefCounted() = default;

private:
	Atomic<u32> references_{1};
};

template <class T> class [[nodiscard]] Ref
{
public:
	Ref() = default;
	explicit Ref(T &object) : object_(&object) { object_->ref(); }
	Ref(Ref &&other) : object_(std::exchange(other.object_, nullptr)) {}
	Ref(const Ref &other) : object_(other.object_)
	{
		if (object_)
			object_->ref();
	}
	Ref &operator=(Ref other)
	{
		std::swap(object_, other.object_);
		return *this;
	}
	~Ref() { reset(); }

	static Ref adopt(Own<T> object)
	{
		Ref ref;
		ref.object_ = object.release();
		return ref;
	}
	void reset()
	{
		T *old = std::exchange(object_, nullptr);
		if (old && old->unref())
			destroy(old);
	}
	T *get() const { return object_; }
	T *operator->() const { return object_; }
	T &operator*() const { return *object_; }
	explicit operator bool() const { return object_ != nullptr; }

private:
	T *object_ = nullptr;
};

// Runs at the end of the scope unless dismissed: undoes what a failed step leaves behind.
template <class F> class [[nodiscard]] Defer
{
public:
	explicit Defer(F undo) : undo_(std::move(undo)) {}
	Defer(const Defer &) = delete;
	Defer &operator=(const Defer &) = delete;
	~Defer()
	{
		if (armed_)
			undo_();
	}
	void dismiss() { armed_ = false; }

private:
	F undo_;
	bool armed_ = true;
};

} // namespace blksnap
