//! Has release builds, which hold the admin page, made anew when the page was. Others read it from `web/dist` as they run.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if std::env::var("PROFILE").is_ok_and(|profile| profile == "release") {
        // A path that is not there would have everything built anew each time.
        let built = std::path::Path::new("web/dist").is_dir();
        println!("cargo:rerun-if-changed={}", if built { "web/dist" } else { "web" });
    }
}
