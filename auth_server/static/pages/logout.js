// After a logout: go on as soon as all applications have answered, or when that takes too long.
"use strict";

const onward = document.getElementById("onward");

function goOn() {
  location.replace(onward.href);
}

addEventListener("load", goOn);
setTimeout(goOn, 5000);
