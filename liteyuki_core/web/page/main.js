const session = await (await fetch("/api/session")).json();
const status = await (await fetch("/api/status")).json();
document.querySelector("main").textContent = `LiteyukiBot ${status.version}, ${session.right}`;
