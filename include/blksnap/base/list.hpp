// SPDX-License-Identifier: GPL-2.0
//
// IntrusiveList: a doubly linked list through a hook inside the object; never allocates.
//
// An object is on at most one list per hook. The hook is named after the list that uses it.
#pragma once

#include <blksnap/base/types.hpp>

namespace blksnap
{

class ListHook
{
public:
	ListHook() = default;
	ListHook(const ListHook &) = delete;
	ListHook &operator=(const ListHook &) = delete;
	~ListHook() { ASSERT(!linked()); }

	bool linked() const { return next_ != this; }

private:
	template <class T, ListHook T::*hook> friend class IntrusiveList;

	void unlink()
	{
		prev_->next_ = next_;
		next_->prev_ = prev_;
		next_ = prev_ = this;
	}
	ListHook *next_ = this;
	ListHook *prev_ = this;
};

template <class T, ListHook T::*hook> class IntrusiveList
{
public:
	IntrusiveList() = default;
	IntrusiveList(const IntrusiveList &) = delete;
	IntrusiveList &operator=(const IntrusiveList &) = delete;

	bool empty() const { return !head_.linked(); }
	T *front() const { return empty() ? nullptr : object(head_.next_); }
	T *next(const T &item) const
	{
		ListHook *after = (item.*hook).next_;
		return after == &head_ ? nullptr : object(after);
	}
	void push_back(T &item)
	{
		ListHook &link = item.*hook;
		ASSERT(!link.linked());
		link.prev_ = head_.prev_;
		link.next_ = &head_;
		head_.prev_->next_ = &link;
		head_.prev_ = &link;
	}
	void push_front(T &item)
	{
		ListHook &link = item.*hook;
		ASSERT(!link.linked());
		link.next_ = head_.next_;
		link.prev_ = &head_;
		head_.next_->prev_ = &link;
		head_.next_ = &link;
	}
	T *pop_front()
	{
		T *item = front();
		if (item)
			remove(*item);
		return item;
	}
	void remove(T &item)
	{
		ASSERT((item.*hook).linked());
		(item.*hook).unlink();
	}
	// Moves all items of `other` behind ours.
	void splice_back(IntrusiveList &other)
	{
		while (T *item = other.pop_front())
			push_back(*item);
	}

	class Iterator
	{
	public:
		Iterator(const IntrusiveList &list, T *item) : list_(list), item_(item) {}
		T &operator*() const { return *item_; }
		Iterator &operator++()
		{
			item_ = list_.next(*item_);
			return *this;
		}
		bool operator!=(const Iterator &other) const { return item_ != other.item_; }

	private:
		const IntrusiveList &list_;
		T *item_;
	};
	// The body of a loop must not remove the current item.
	Iterator begin() const { return {*this, front()}; }
	Iterator end() const { return {*this, nullptr}; }

private:
	static T *object(ListHook *link)
	{
		const auto offset =
			reinterpret_cast<std::size_t>(&(reinterpret_cast<T *>(alignof(T))->*hook)) -
			alignof(T);
		return reinterpret_cast<T *>(reinterpret_cast<char *>(link) - offset);
	}

	ListHook head_;
};

} // namespace blksnap
