// SPDX-License-Identifier: GPL-2.0
//
// Option prefixes: --dev for --device, as long as only one option begins so.
#ifndef BLKSNAP_OPTION_PREFIX_HPP
#define BLKSNAP_OPTION_PREFIX_HPP

#include <string>
#include <vector>

namespace CLI
{
class App;
}

namespace blksnap::command
{

// @arguments with each unambiguous prefix written in full. Others stay, for the parser to refuse.
std::vector<std::string> with_full_options(const CLI::App &app, std::vector<std::string> arguments);

} // namespace blksnap::command

#endif
