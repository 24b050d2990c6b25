// SPDX-License-Identifier: GPL-2.0
//
// Result and TRY: one of value and error, each value destroyed once.
#include <blksnap/base/memory.hpp>

#include <gtest/gtest.h>

#include "fake_port.hpp"

using namespace blksnap;

namespace
{

Result<int> half(int even)
{
	if (even % 2 != 0)
		return Errno::Inval;
	return even / 2;
}

Result<int> quarter(int number)
{
	return TRY(half(TRY(half(number))));
}

Result<void> check_quarter(int number)
{
	(void)TRY(quarter(number));
	return {};
}

Result<Own<int>> make(int value)
{
	auto owned = TRY(try_new<int>(Gfp::Kernel, value));
	*owned += 1;
	return owned;
}

} // namespace

TEST(result, holds_a_value_or_an_error)
{
	EXPECT_EQ(quarter(12).value(), 3);
	EXPECT_EQ(quarter(12).error(), Errno::None);
	EXPECT_EQ(quarter(6).error(), Errno::Inval);
	EXPECT_TRUE(check_quarter(4).ok());
	EXPECT_EQ(check_quarter(5).error(), Errno::Inval);
}

TEST(result, moves_what_cannot_be_copied)
{
	const long before = fake::live_allocations();
	{
		auto result = make(41);
		ASSERT_TRUE(result.ok());
		auto moved = std::move(result);
		Own<int> owned = moved.release_value();
		EXPECT_EQ(*owned, 42);
		EXPECT_EQ(fake::live_allocations(), before + 1);
	}
	EXPECT_EQ(fake::live_allocations(), before);
	EXPECT_EQ(fake::walk_allocation_failures([](long) { (void)make(1); }), 1);
	EXPECT_EQ(fake::live_allocations(), before);
}

TEST(result, translates_what_ports_give)
{
	EXPECT_TRUE(port_result(0).ok());
	EXPECT_TRUE(port_result(7).ok());
	EXPECT_EQ(port_result(-12).error(), Errno::NoMem);
	EXPECT_EQ(to_int(from_port(-28)), 28);
}

TEST(result_death, has_no_value_beside_an_error)
{
	EXPECT_DEATH((void)half(1).value(), "assertion failed");
}
