// SPDX-License-Identifier: GPL-2.0
//
// Own, Ref and Defer: everything is released, once.
#include <blksnap/base/memory.hpp>

#include <gtest/gtest.h>

#include "fake_port.hpp"

using namespace blksnap;

namespace
{

int alive = 0;

struct Counted {
	explicit Counted(int n) : number(n) { alive++; }
	Counted(const Counted &) = delete;
	~Counted() { alive--; }
	int number;
};

struct Derived final : Counted {
	Derived() : Counted(7) {}
};

struct Shared final : RefCounted {
	Shared() { alive++; }
	~Shared() { alive--; }
};

Ref<Shared> make_shared()
{
	auto shared = try_new<Shared>(Gfp::Kernel);
	EXPECT_TRUE(shared.ok());
	return Ref<Shared>::adopt(shared.release_value());
}

Own<Counted> make(int n)
{
	auto counted = try_new<Counted>(Gfp::NoWait, n);
	EXPECT_TRUE(counted.ok());
	return counted.release_value();
}

class memory : public testing::Test
{
protected:
	void TearDown() override
	{
		EXPECT_EQ(alive, 0);
		EXPECT_EQ(fake::live_allocations(), before_);
	}

private:
	long before_ = fake::live_allocations();
};

} // namespace

TEST_F(memory, own_has_one_owner)
{
	Own<Counted> empty;
	EXPECT_FALSE(empty);
	auto first = make(1);
	EXPECT_EQ(first->number, 1);
	auto second = std::move(first);
	EXPECT_EQ(first.get(), nullptr);
	EXPECT_EQ((*second).number, 1);
	second = make(2);
	EXPECT_EQ(alive, 1);
	Counted *raw = second.release();
	EXPECT_EQ(alive, 1);
	destroy(raw);
	EXPECT_EQ(alive, 0);
}

TEST_F(memory, own_survives_assignment_to_itself)
{
	auto own = make(3);
	auto &same = own;
	own = std::move(same);
	EXPECT_EQ(own->number, 3);
}

TEST_F(memory, own_converts_to_the_base)
{
	auto derived = try_new<Derived>(Gfp::Kernel);
	Own<Counted> base = derived.release_value();
	EXPECT_EQ(base->number, 7);
}

TEST_F(memory, ref_counts)
{
	auto first = make_shared();
	{
		Ref<Shared> second = first;
		Ref<Shared> third(*first);
		first.reset();
		EXPECT_EQ(alive, 1);
		second = third;
		second = std::move(third);
		EXPECT_FALSE(third);
		EXPECT_EQ(alive, 1);
	}
	EXPECT_EQ(alive, 0);
}

TEST_F(memory, ref_survives_assignment_to_itself)
{
	auto ref = make_shared();
	auto &same = ref;
	ref = same;
	EXPECT_EQ(alive, 1);
	EXPECT_TRUE(ref);
}

TEST_F(memory, each_failed_allocation_is_told)
{
	fake::fail_allocation(1);
	EXPECT_EQ(try_new<Counted>(Gfp::Kernel, 1).error(), Errno::NoMem);
	EXPECT_EQ(alive, 0);
}

TEST_F(memory, defer_runs_unless_dismissed)
{
	int runs = 0;
	{
		Defer undo([&] { runs++; });
	}
	EXPECT_EQ(runs, 1);
	{
		Defer undo([&] { runs++; });
		undo.dismiss();
	}
	EXPECT_EQ(runs, 1);
}
