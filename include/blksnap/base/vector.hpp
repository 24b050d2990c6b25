// SPDX-License-Identifier: GPL-2.0
//
// Vector<T>: a growing array for the control path. Growth can fail and says so; nothing else
// allocates. Elements move when it grows: take no address across a push.
#pragma once

#include <blksnap/base/memory.hpp>

namespace blksnap
{

template <class T> class Vector
{
public:
	Vector() = default;
	Vector(Vector &&other)
		: items_(std::exchange(other.items_, nullptr)),
		  size_(std::exchange(other.size_, 0)), capacity_(std::exchange(other.capacity_, 0))
	{
	}
	Vector &operator=(Vector &&other)
	{
		swap(other);
		return *this;
	}
	Vector(const Vector &) = delete;
	Vector &operator=(const Vector &) = delete;
	~Vector()
	{
		clear();
		shim_memory_free_large(items_);
	}

	u32 size() const { return size_; }
	bool empty() const { return size_ == 0; }
	u32 capacity() const { return capacity_; }
	T &operator[](u32 index)
	{
		ASSERT(index < size_);
		return items_[index];
	}
	const T &operator[](u32 index) const
	{
		ASSERT(index < size_);
		return items_[index];
	}
	T *begin() { return items_; }
	T *end() { return items_ + size_; }
	const T *begin() const { return items_; }
	const T *end() const { return items_ + size_; }
	T &back() { return (*this)[size_ - 1]; }

	Result<void> reserve(u32 capacity)
	{
		if (capacity <= capacity_)
			return {};
		auto *grown = static_cast<T *>(shim_memory_alloc_large(sizeof(T) * capacity));
		if (!grown)
			return Errno::NoMem;
		for (u32 i = 0; i < size_; i++) {
			new (&grown[i]) T(std::move(items_[i]));
			items_[i].~T();
		}
		shim_memory_free_large(items_);
		items_ = grown;
		capacity_ = capacity;
		return {};
	}
	Result<void> push_back(T item)
	{
		if (size_ == capacity_)
			TRY(reserve(capacity_ ? capacity_ * 2 : 8));
		push_reserved(std::move(item));
		return {};
	}
	// Needs room from reserve(): cannot fail.
	void push_reserved(T item)
	{
		ASSERT(size_ < capacity_);
		new (&items_[size_++]) T(std::move(item));
	}
	void remove(u32 index)
	{
		ASSERT(index < size_);
		for (u32 i = index + 1; i < size_; i++)
			items_[i - 1] = std::move(items_[i]);
		items_[--size_].~T();
	}
	void truncate(u32 size)
	{
		while (size_ > size)
			items_[--size_].~T();
	}
	void clear() { truncate(0); }
	void swap(Vector &other)
	{
		std::swap(items_, other.items_);
		std::swap(size_, other.size_);
		std::swap(capacity_, other.capacity_);
	}

private:
	T *items_ = nullptr;
	u32 size_ = 0;
	u32 capacity_ = 0;
};

} // namespace blksnap
