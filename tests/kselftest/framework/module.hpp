// SPDX-License-Identifier: GPL-2.0
//
// The module under test: loading, unloading, its parameters.
//
// $BLKSNAP_MODULE names the file; without it modprobe knows where the module is.
#pragma once

#include <string>
#include <vector>

namespace kselftest::module
{

bool is_loaded();
// Return: 0 or the errno of the kernel. `parameters`: "name=value", split by blanks.
int load(const std::string &parameters = "");
// Return: 0 or an errno: EWOULDBLOCK while somebody holds the module.
int try_unload();
// Waits for those who look at devices that just appeared (udev). Return: 0 or an errno.
int unload();

// For main(): root's rights, the module loaded, and nobody using it. Return: why not, or nothing.
std::string make_ready();

std::vector<std::string> parameters();
std::string parameter(const std::string &name);
// Return: 0 or an errno.
int set_parameter(const std::string &name, const std::string &value);

// A parameter that has another value for a while.
class Parameter
{
public:
	// Throws if the value is refused.
	Parameter(const std::string &name, const std::string &value);
	~Parameter() { set_parameter(name_, before_); }
	Parameter(const Parameter &) = delete;
	Parameter &operator=(const Parameter &) = delete;

private:
	std::string name_, before_;
};

// For tests that unload the module: at the end it is loaded as it was.
class Reload
{
public:
	Reload();
	~Reload();
	Reload(const Reload &) = delete;
	Reload &operator=(const Reload &) = delete;

private:
	std::string before_;
};

} // namespace kselftest::module
