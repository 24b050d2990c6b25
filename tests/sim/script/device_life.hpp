// SPDX-License-Identifier: GPL-2.0
//
// What happens to devices while they are in use: another size, another medium.
#pragma once

#include <script/history.hpp>

namespace sim
{

// Gives the device another size, within what is below it.
void resize(History &history, Device &device, u64 sectors);
void resize_some(History &history);

// Another medium, all at once: nothing of what was there is left.
void exchange(History &history, Device &disk);
void exchange_some(History &history);

// By an agent that holds the snapshot: spoils one of its devices and waits until the sweep must
// have noticed. Nothing of that image may be readable then.
void spoil_own(History &history, SnapshotModel &snapshot);

} // namespace sim
