//! Both doors, with the bodies and documents that real clients send.
