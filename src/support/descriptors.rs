//! The descriptors that this process was started with.

/// Keeps all but the standard three from every program that is started here: a run gets nothing that whoever started the dispatcher
/// had open. What is opened later is closed at an `exec` by itself.
pub fn keep_from_children() {
    close_fds::set_fds_cloexec(3, &[]);
}
