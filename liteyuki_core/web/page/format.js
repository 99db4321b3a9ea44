/**
 * Numbers, sizes and times for people.
 */

import { language, t } from "./words.js";

/**
 * Return a duration in two units: 3 min 20 s.
 * @param {number | null} seconds
 */
export function duration(seconds) {
  if (seconds === null) return "–";
  const whole = Math.max(0, Math.floor(seconds));
  const [days, hours] = [Math.floor(whole / 86400), Math.floor(whole / 3600) % 24];
  const minutes = Math.floor(whole / 60) % 60;
  if (days) return t("d h", { days, hours });
  if (hours) return t("h min", { hours, minutes });
  if (minutes) return t("min s", { minutes, seconds: whole % 60 });
  return t("s", { seconds: whole });
}

/**
 * Return a duration in one unit: 12 min.
 * @param {number} seconds
 */
export function about(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 120) return t("s", { seconds: whole });
  if (whole < 7200) return t("min", { minutes: Math.floor(whole / 60) });
  if (whole < 172800) return t("h", { hours: Math.floor(whole / 3600) });
  return t("d", { days: Math.floor(whole / 86400) });
}

/**
 * Return the seconds since a time that the bot has told.
 * @param {string} time
 */
export function since(time) {
  return (Date.now() - Date.parse(time)) / 1000;
}

/**
 * Return a number of bytes: 340 KB.
 * @param {number | null} size
 */
export function bytes(size) {
  if (size === null) return "–";
  let left = size;
  for (const unit of ["B", "KB", "MB"]) {
    if (left < 1024) return `${unit === "B" ? left.toFixed(0) : short(left)} ${unit}`;
    left /= 1024;
  }
  return `${left.toFixed(1)} GB`;
}

/** @param {number} value */
function short(value) {
  return value === 0 || value >= 10 ? value.toFixed(0) : value.toFixed(1);
}

/** @param {number | null} value */
export function percent(value) {
  return value === null ? "–" : `${short(value)} %`;
}

/**
 * Return a delay, given in seconds: 12 ms.
 * @param {number | null} seconds
 */
export function delay(seconds) {
  if (seconds === null) return "–";
  const ms = seconds * 1000;
  if (ms >= 1000) return `${seconds.toFixed(1)} s`;
  return `${short(ms)} ms`;
}

/** @param {number | null} value */
export function count(value) {
  if (value === null) return "–";
  const digits = Number.isInteger(value) ? 0 : value < 10 ? 1 : 0;
  return value.toLocaleString(language(), { maximumFractionDigits: digits });
}

/** @param {number} number */
const two = (number) => String(number).padStart(2, "0");

/**
 * Return the time of the day: 15:04:05.
 * @param {Date} time
 */
export function clock(time) {
  return `${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}`;
}

/**
 * Return a day: 2026-11-29.
 * @param {Date} time
 */
export function day(time) {
  return `${time.getFullYear()}-${two(time.getMonth() + 1)}-${two(time.getDate())}`;
}

/**
 * Return a time, without the day if that is today.
 * @param {string | Date} given
 */
export function moment(given) {
  const time = new Date(given);
  return day(time) === day(new Date()) ? clock(time) : `${day(time)} ${clock(time)}`;
}
