// SPDX-License-Identifier: GPL-2.0
//
// The version that IOCTL_BLK_SNAP_VERSION reports.
#pragma once

#include <blksnap/base/types.hpp>

namespace blksnap
{

constexpr u16 kVersionMajor = 1;
constexpr u16 kVersionMinor = 0;
constexpr u16 kVersionRevision = 0;
constexpr u16 kVersionBuild = 0;

} // namespace blksnap
