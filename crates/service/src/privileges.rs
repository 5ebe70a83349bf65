//! What a process that was started as root gives up before it does anything: it becomes the user of the settings, and of
//! the rights of root it keeps the one to bind ports below 1024.
//!
//! It must run while the process has one thread. The system keeps capabilities by thread, and threads that are made
//! later have those of the thread that made them.

use std::ffi::CString;

use anyhow::{Context, bail, ensure};
use caps::{CapSet, Capability, CapsHashSet};
use nix::{
    sys::prctl,
    unistd::{Uid, User, geteuid, initgroups, setresgid, setresuid},
};

/// Becomes `name`, if this process is not that user yet.
///
/// # Errors
/// There is no such user, it is root, or this process may not become another.
pub(crate) fn become_user(name: &str) -> anyhow::Result<()> {
    let found = User::from_name(name).context("look up the user of service.user")?;
    let user = found.with_context(|| format!("service.user = \"{name}\": there is no such user"))?;
    ensure!(
        !user.uid.is_root(),
        "service.user = \"{name}\" is root: name a user without privileges"
    );
    if geteuid() == user.uid {
        return Ok(());
    }
    if !Uid::effective().is_root() {
        bail!(
            "service.user = \"{name}\", and this process was started by another user, who cannot become it: start it as root or as {name}, or leave service.user out"
        );
    }
    drop_rights(&user).with_context(|| format!("become the user of service.user, {name}"))
}

fn drop_rights(user: &User) -> anyhow::Result<()> {
    let allowed = caps::read(None, CapSet::Permitted).context("read capabilities")?;
    let kept: CapsHashSet = allowed
        .into_iter()
        .filter(|capability| *capability == Capability::CAP_NET_BIND_SERVICE)
        .collect();
    let name = CString::new(user.name.as_str()).context("use the user's name")?;
    // Else all rights go with the user, also the one that is kept.
    prctl::set_keepcaps(true).context("keep capabilities")?;
    initgroups(&name, user.gid).context("take the user's groups")?;
    setresgid(user.gid, user.gid, user.gid).context("take the user's group")?;
    setresuid(user.uid, user.uid, user.uid).context("take the user's id")?;
    prctl::set_keepcaps(false).context("keep no more capabilities")?;
    let empty = CapsHashSet::default();
    for (set, rights) in [
        (CapSet::Effective, &empty),
        (CapSet::Inheritable, &empty),
        (CapSet::Permitted, &kept),
        (CapSet::Effective, &kept),
    ] {
        caps::set(None, set, rights).context("give up capabilities")?;
    }
    prctl::set_no_new_privs().context("give up new privileges")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_cannot_be_become() {
        let told = |name| format!("{:#}", become_user(name).expect_err("is refused"));
        assert!(told("no-such-user").contains("no such user"));
        assert!(told("root").contains("is root"));
    }

    #[test]
    fn being_the_user_already_is_fine() {
        let own = User::from_uid(geteuid()).expect("looks up").expect("has a name");
        if !own.uid.is_root() {
            become_user(&own.name).expect("nothing to do");
        }
    }
}
