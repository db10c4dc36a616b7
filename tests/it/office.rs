//! What an administrator hands out and takes in: invitations, the second factor, the register as a table, lists to take away.

mod coming_in;
mod second_factor;
mod table;
