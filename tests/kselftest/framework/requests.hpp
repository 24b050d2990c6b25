// SPDX-License-Identifier: GPL-2.0
//
// The numbers of the requests as the table of the interface has them, by their nr; not as the header
// makes them.
#pragma once

#include <cstdint>

namespace kselftest
{

#if __SIZEOF_POINTER__ == 8
inline constexpr std::uint32_t kRequests[] = {
	0x40085600, 0x40085601, 0x40105602, 0x80185603, 0x80185604, 0x40205605,
	0x80105606, 0x40285607, 0x80105608, 0x40105609, 0x4020560a, 0x5000560b,
};
#else
inline constexpr std::uint32_t kRequests[] = {
	0x40085600, 0x40085601, 0x40085602, 0x80145603, 0x80105604, 0x40185605,
	0x80105606, 0x40205607, 0x80105608, 0x40085609, 0x4018560a, 0x5000560b,
};
#endif

inline bool is_request(std::uint32_t number)
{
	for (const std::uint32_t known : kRequests)
		if (number == known)
			return true;
	return false;
}

} // namespace kselftest
