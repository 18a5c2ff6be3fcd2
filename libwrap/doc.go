// Package libwrap decides who may use a service, by the rules of hosts.allow
// and hosts.deny.
package libwrap
