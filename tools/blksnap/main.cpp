// SPDX-License-Identifier: GPL-2.0
//
// blksnap: the command.
#include "command.hpp"

#include <algorithm>
#include <iostream>

int main(int argc, char **argv)
{
	blksnap::command::Environment environment{
		.open_control = blksnap::Control::open, .out = std::cout, .err = std::cerr};
	return blksnap::command::run({argv + std::min(argc, 1), argv + argc}, environment);
}
