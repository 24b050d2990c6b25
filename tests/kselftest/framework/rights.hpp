// SPDX-License-Identifier: GPL-2.0
//
// Rights: how a process gives them away. For children: there is no way back.
#pragma once

#include "kselftest.hpp"

#include <grp.h>
#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>

namespace kselftest
{

inline constexpr std::uint64_t kAdmin = 1ull << CAP_SYS_ADMIN;

inline void become_nobody()
{
	constexpr unsigned kNobody = 65534;

	REQUIRE_EQ(setgroups(0, nullptr), 0);
	REQUIRE_EQ(setresgid(kNobody, kNobody, kNobody), 0);
	REQUIRE_EQ(setresuid(kNobody, kNobody, kNobody), 0);
}

// The capabilities of this process: all of root's that are in `keep` stay in effect.
inline void set_capabilities(std::uint64_t keep)
{
	__user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
	__user_cap_data_struct data[2]{};

	REQUIRE_EQ(syscall(SYS_capget, &header, data), 0);
	for (int i = 0; i < 2; i++) {
		data[i].permitted &= static_cast<__u32>(keep >> 32 * i);
		data[i].effective = data[i].permitted;
		data[i].inheritable = 0;
	}
	REQUIRE_EQ(syscall(SYS_capset, &header, data), 0);
}

} // namespace kselftest
