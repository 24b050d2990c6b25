// SPDX-License-Identifier: GPL-2.0
//
// CopyWaiters: who waits for which copy, and that all can be had piece by piece.
#include <blksnap/core/copy_waiters.hpp>

#include <gtest/gtest.h>

#include "fake_port.hpp"

using namespace blksnap;

namespace
{

class CopyWaitersTest : public testing::Test
{
protected:
	CopyWaitersTest()
	{
		for (Copy *&copy : copies_)
			copy = Copy::create(fake::no_area(), CopyUse::Origin, 1, false,
					    Gfp::Kernel);
	}
	~CopyWaitersTest() override
	{
		for (Copy *copy : copies_)
			destroy(copy);
	}
	static u32 count(BioList &bios)
	{
		u32 count = 0;
		while (bios.pop_front())
			count++;
		return count;
	}

	Copy *copies_[10];
	CopyWaiters waiters_;
	BioList origin_;
	BioList image_;
};

} // namespace

TEST_F(CopyWaitersTest, gives_those_of_one_copy_in_their_order)
{
	waiters_.add(*copies_[0], CopyUse::Origin, fake::bio(0));
	waiters_.add(*copies_[1], CopyUse::Origin, fake::bio(1));
	waiters_.add(*copies_[0], CopyUse::Origin, fake::bio(2));
	waiters_.take(*copies_[2], CopyUse::Origin, origin_);
	EXPECT_TRUE(origin_.empty());
	waiters_.take(*copies_[0], CopyUse::Image, image_);
	EXPECT_TRUE(image_.empty());
	waiters_.take(*copies_[0], CopyUse::Origin, origin_);
	EXPECT_EQ(origin_.pop_front(), fake::bio(0));
	EXPECT_EQ(origin_.pop_front(), fake::bio(2));
	EXPECT_TRUE(origin_.empty() && waiters_.any(CopyUse::Origin));
	waiters_.take(*copies_[1], CopyUse::Origin, origin_);
	EXPECT_EQ(origin_.pop_front(), fake::bio(1));
	EXPECT_FALSE(waiters_.any(CopyUse::Origin));
}

TEST_F(CopyWaitersTest, tells_the_uses_apart)
{
	waiters_.add(*copies_[0], CopyUse::Image, fake::bio(0));
	EXPECT_TRUE(waiters_.any(CopyUse::Image));
	EXPECT_FALSE(waiters_.any(CopyUse::Origin));
	waiters_.add(*copies_[0], CopyUse::Origin, fake::bio(1));
	waiters_.take(*copies_[0], CopyUse::Image, image_);
	EXPECT_EQ(image_.pop_front(), fake::bio(0));
	EXPECT_FALSE(waiters_.any(CopyUse::Image));
	waiters_.take(*copies_[0], CopyUse::Origin, origin_);
	EXPECT_EQ(origin_.pop_front(), fake::bio(1));
}

TEST_F(CopyWaitersTest, gives_all_some_copies_at_a_time)
{
	for (u32 i = 0; i < 20; i++)
		waiters_.add(*copies_[i % 10], CopyUse::Origin, fake::bio(i));
	for (u32 i = 0; i < 5; i++)
		waiters_.add(*copies_[i], CopyUse::Image, fake::bio(20 + i));
	EXPECT_TRUE(waiters_.take_some(4, origin_, image_));
	EXPECT_EQ(count(origin_), 8u);
	EXPECT_TRUE(image_.empty());
	EXPECT_TRUE(waiters_.take_some(8, origin_, image_));
	EXPECT_EQ(count(origin_), 12u);
	EXPECT_EQ(count(image_), 2u);
	EXPECT_FALSE(waiters_.take_some(3, origin_, image_));
	EXPECT_EQ(count(image_), 3u);
	EXPECT_FALSE(waiters_.take_some(3, origin_, image_));
	EXPECT_TRUE(origin_.empty() && image_.empty());
}
